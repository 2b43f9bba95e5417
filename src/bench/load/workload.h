// What a load run asks for: conversation i is a pure function of the specification, the data set
// and the seed, so that a run can be repeated and any part of it be made at any time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/length.h"
#include "bench/load/prompt_text.h"
#include "ops/trace/dataset.h"

namespace weir::bench {

struct WorkloadSpec {
  uint64_t seed = 1;
  Length prompt;  // of the part that is a request's own
  Length output;
  int32_t prefix_tokens = 0;  // in front of it, shared within a group; 0: none
  int32_t groups = 1;
  double zipf = 1;     // group k is chosen in proportion to 1 / (k+1)^zipf; 0: all alike
  int32_t turns = 1;   // of a conversation
  double think_s = 0;  // mean of the exponential pause before each further turn
  int32_t max_prompt_tokens = kMaxLengthTokens;  // longer ones are cut there
  int32_t max_output_tokens = kMaxLengthTokens;
};

struct Turn {
  std::vector<Piece> pieces;  // new text of the user
  int32_t row = -1;           // of a data set of own prompts, in place of pieces
  int32_t output_tokens = 1;
  double think_s = 0;
};

struct Conversation {
  int32_t group = -1;    // of the shared prefix
  int32_t session = -1;  // of conversations of several turns
  std::vector<Turn> turns;

  int64_t prompt_tokens() const;  // asked for in the first turn
};

class Workload {
 public:
  // dataset: rows to take lengths, prefixes or prompts from; null for none. Outlives the workload.
  // Error: kUsage for a length "trace" without a trace, or turns over rows.
  static Result<Workload> make(const WorkloadSpec& spec, const ops::Dataset* dataset);

  // Rows of a data set repeat when index passes them.
  Conversation conversation(uint64_t index) const;
  const WorkloadSpec& spec() const { return spec_; }
  const ops::Dataset* dataset() const { return dataset_; }

 private:
  Workload(const WorkloadSpec& spec, const ops::Dataset* dataset);
  int32_t group_of(uint64_t index) const;
  void add_row(const ops::DatasetRow& row, Turn& turn, uint64_t index) const;

  WorkloadSpec spec_;
  const ops::Dataset* dataset_;
  std::vector<double> zipf_sums_;  // cumulative weights of the groups
};

}  // namespace weir::bench
