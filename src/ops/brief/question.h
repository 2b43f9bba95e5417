// From a question in words to the page that a brief is written on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/brief/evidence.h"

namespace weir::ops {

struct QuestionPage {
  std::string kind;  // "compare"; "other" where it is of none that ages
  std::vector<std::string> topics;
  std::vector<std::string> searches;
  std::vector<AgedEvidence> evidence;
  std::string text;  // the page, brief_template()
};

// The kind and topics of the question, its searches with today's year, and the evidence of the
// program's and the project's ledger (`project`/sources.json) with its age. Errors: kUsage where
// the question has no topic, with the topics; those of the ledger.
Result<QuestionPage> question_page(std::string_view question, const std::string& project,
                                   int today);

}  // namespace weir::ops
