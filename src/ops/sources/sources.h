// The claims ledger: what is relied on, who published it, and when it was last looked at
// (skill/data/sources.json).
#pragma once

#include <span>
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
  std::string note;  // who read it and what was seen; may be empty

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
// Those, and the project's own in `path` (a ledger file); that it is absent is no error. Errors:
// those of parse_sources and of reading; kCorrupt where an id or address stands in the program's
// already.
Result<Sources> sources_with_project(const std::string& path);

// The kinds of sources, and for how many days after it was read one of them may be relied on:
// prices 30, versions (docs, release, code) 60, hardware and blogs 180, papers, specifications and
// books two years. Precondition of stale_days: `kind` is one of them.
std::span<const std::string_view> source_kinds();
int stale_days(std::string_view kind);

}  // namespace weir::ops
