// What the answer to a question would lean on, and how old that is.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/advise/action.h"
#include "ops/advise/tree.h"
#include "ops/brief/trends.h"
#include "ops/sources/sources.h"

namespace weir::ops {

struct AgedEvidence {
  std::string id;      // of a source, or a file of data/
  std::string what;    // "paper, published 2024-07-12"
  std::string read;    // the day
  int age_days = 0;    // since then
  int limit_days = 0;  // that it may have
  bool verified = false;

  bool stale() const { return age_days > limit_days; }
};

// Of the topics: sources that their trees ask for and their leaves' actions expect, then those of
// the ledger's topics, then files of data/; each once, the oldest first within these.
std::vector<AgedEvidence> evidence_of(std::span<const TrendTopic* const> topics,
                                      const std::vector<Tree>& trees, const Actions& actions,
                                      const Sources& sources, int today);

}  // namespace weir::ops
