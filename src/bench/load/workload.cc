#include "bench/load/workload.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "bench/load/streams.h"

namespace weir::bench {
namespace {

// Ids of pieces: the highest bits say what a piece is, so that no two kinds meet.
constexpr uint64_t kOwn = uint64_t{1} << 54;     // + conversation * 256 + turn
constexpr uint64_t kPrefix = uint64_t{2} << 54;  // + group
constexpr uint64_t kBlock = uint64_t{3} << 54;   // + hash id of a trace
constexpr uint64_t kIdMask = (uint64_t{1} << 54) - 1;

}  // namespace

int64_t Conversation::prompt_tokens() const {
  int64_t sum = 0;
  if (!turns.empty()) {
    for (const Piece& p : turns.front().pieces) sum += p.tokens;
  }
  return sum;
}

Workload::Workload(const WorkloadSpec& spec, const ops::Dataset* dataset)
    : spec_(spec), dataset_(dataset) {
  double sum = 0;
  for (int32_t g = 0; g < spec.groups; ++g)
    zipf_sums_.push_back(sum += std::pow(g + 1, -spec.zipf));
}

Result<Workload> Workload::make(const WorkloadSpec& spec, const ops::Dataset* dataset) {
  const bool trace = dataset != nullptr && dataset->kind == ops::Dataset::Kind::kTrace;
  if (!trace && spec.prompt.kind == Length::Kind::kTrace)
    return make_error(ErrorCode::kUsage, "--prompt-tokens trace needs --trace FILE");
  if (!trace && spec.output.kind == Length::Kind::kTrace)
    return make_error(ErrorCode::kUsage, "--output-tokens trace needs --trace FILE");
  if (dataset != nullptr && spec.turns > 1)
    return make_error(ErrorCode::kUsage, "--turns goes with made-up prompts, not with a file");
  return Workload(spec, dataset);
}

int32_t Workload::group_of(uint64_t index) const {
  const double u = random_unit(spec_.seed, stream_of(Draw::kGroup, index), 0) * zipf_sums_.back();
  const auto it = std::upper_bound(zipf_sums_.begin(), zipf_sums_.end(), u);
  return std::min(spec_.groups - 1, static_cast<int32_t>(it - zipf_sums_.begin()));
}

// A row's blocks of tokens, by hash, become pieces; what a row does not say is drawn.
void Workload::add_row(const ops::DatasetRow& row, Turn& turn, uint64_t index) const {
  if (spec_.output.kind == Length::Kind::kTrace)
    turn.output_tokens = std::clamp(row.output_tokens, 1, spec_.max_output_tokens);
  if (dataset_->kind == ops::Dataset::Kind::kPrompts) {
    if (row.output_tokens > 0) turn.output_tokens = row.output_tokens;
    turn.row = static_cast<int32_t>(index % dataset_->rows.size());
    turn.pieces.clear();
    return;
  }
  if (spec_.prompt.kind != Length::Kind::kTrace) return;
  int32_t left = std::clamp(row.prompt_tokens, 1, spec_.max_prompt_tokens);
  turn.pieces.clear();
  for (uint32_t b = 0; b < row.block_count && left > 0; ++b) {
    const int32_t n = std::min(left, dataset_->block_tokens);
    turn.pieces.push_back({kBlock | (dataset_->blocks[row.first_block + b] & kIdMask), n});
    left -= n;
  }
  if (left > 0) turn.pieces.push_back({kOwn | ((index * 256) & kIdMask), left});
}

Conversation Workload::conversation(uint64_t index) const {
  Conversation c;
  if (spec_.turns > 1) c.session = static_cast<int32_t>(index);
  Rng prompt(spec_.seed, stream_of(Draw::kPrompt, index));
  Rng output(spec_.seed, stream_of(Draw::kOutput, index));
  Rng think(spec_.seed, stream_of(Draw::kThink, index));
  for (int32_t t = 0; t < spec_.turns; ++t) {
    Turn turn;
    const double p1 = prompt.unit();
    const double p2 = prompt.unit();
    const double o1 = output.unit();
    const double o2 = output.unit();
    turn.output_tokens = std::min(spec_.output.sample(o1, o2), spec_.max_output_tokens);
    if (t > 0) turn.think_s = -std::log(1 - think.unit()) * spec_.think_s;
    int32_t own = std::min(spec_.prompt.sample(p1, p2), spec_.max_prompt_tokens);
    turn.pieces.push_back({kOwn | ((index * 256 + static_cast<uint64_t>(t)) & kIdMask), own});
    c.turns.push_back(std::move(turn));
  }
  if (dataset_ != nullptr)
    add_row(dataset_->rows[index % dataset_->rows.size()], c.turns.front(), index);
  const bool literal = c.turns.front().row >= 0;
  if (spec_.prefix_tokens > 0 && !literal) {
    c.group = group_of(index);
    auto& pieces = c.turns.front().pieces;
    pieces.insert(pieces.begin(), {kPrefix | static_cast<uint64_t>(c.group), spec_.prefix_tokens});
  }
  return c;
}

}  // namespace weir::bench
