// From a question in words to the page that a brief is written on.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::ops {

// The kind and topics of the question, its searches with today's year, and the evidence of the
// program's and the project's ledger (`project`/sources.json) with its age. Errors: kUsage where
// the question has no topic, with the topics; those of the ledger.
Result<std::string> question_page(std::string_view question, const std::string& project, int today);

}  // namespace weir::ops
