// A ledger file as text: entries are added and replaced where they stand, and every other byte
// stays, so that a diff shows what changed.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "ops/sources/sources.h"

namespace weir::ops {

// An entry as skill/data/sources.json writes it, without the comma behind it.
std::string source_text(const Source& source);

// `text`, a ledger ("" and "[]" too), with one more entry at its end. Errors: those of
// parse_sources for the old and for the new text, which name `name`.
Result<std::string> append_source(std::string_view text, std::string_view name,
                                  const Source& source);
// With the entry of source.id written anew. Also kNotFound where there is none.
Result<std::string> replace_source(std::string_view text, std::string_view name,
                                   const Source& source);

}  // namespace weir::ops
