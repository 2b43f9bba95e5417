// The claims ledger: what is relied on, who published it, and when it was last looked at
// (skill/data/sources.json).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct SourceClaim {
  std::string id;
  std::string text;      // in weir's own words
  std::string value;     // "2x to 4x"
  std::string workload;  // what it was measured on
  bool read = false;     // the figure was read there, not remembered
};

struct Source {
  std::string id, title, url, publisher;
  std::string kind;  // paper docs release datasheet spec code price blog book
  bool primary = false;
  bool verified = false;  // it, or a stored copy, was read
  std::string published;  // "YYYY", "YYYY-MM" or a day; may be empty
  std::string accessed;   // a day
  std::string review_by;  // a day
  std::vector<std::string> topics;
  std::vector<SourceClaim> claims;

  const SourceClaim* claim(std::string_view claim_id) const;
};

struct Sources {
  std::vector<Source> all;  // in the file's order

  const Source* find(std::string_view id) const;
};

// Error kCorrupt: "NAME: source 3 (id): ..." for a missing or unknown key, a value of another kind,
// a date that is none, an id or address that stands twice.
Result<Sources> parse_sources(std::string_view json, std::string_view name);
// Those that the program carries. A test holds that they parse.
Result<Sources> built_in_sources();

// Whether `day` (YYYY-MM-DD) is one.
bool is_day(std::string_view day);

}  // namespace weir::ops
