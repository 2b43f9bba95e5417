#include "bench/engine_bench.h"

#include <algorithm>
#include <numeric>

#include "base/rng.h"
#include "kv/page_pool.h"

namespace weir::bench {
namespace {

// Sequences with made-up tokens, each with its own run of pages.
class Sequences {
 public:
  Sequences(engine::Runner& runner, int32_t count, int32_t tokens_each) : runner_(runner) {
    const int32_t pages_each = kv::pages_for(tokens_each, runner.page_tokens());
    Rng rng(1);
    for (int32_t s = 0; s < count; ++s) {
      std::vector<int32_t> ids(static_cast<size_t>(tokens_each));
      for (int32_t& id : ids)
        id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(runner.vocab_size())));
      tokens_.push_back(std::move(ids));
      std::vector<int32_t> pages(static_cast<size_t>(pages_each));
      std::iota(pages.begin(), pages.end(), s * pages_each);
      pages_.push_back(std::move(pages));
    }
  }

  // Tokens [from, to) of one sequence, step_tokens at a time; logits of the last one.
  Status prefill(size_t s, int32_t from, int32_t to, int32_t step_tokens) {
    for (int32_t at = from; at < to; at += step_tokens) {
      const int32_t end = std::min(to, at + step_tokens);
      const model::Chunk chunk = part(s, at, end, end == to ? 1 : 0);
      logits_.resize(static_cast<size_t>(chunk.logit_rows) *
                     static_cast<size_t>(runner_.vocab_size()));
      WEIR_TRY(runner_.forward({&chunk, 1}, logits_, {}));
    }
    return {};
  }

  // One decode step of all sequences at a position.
  Status decode(int32_t position) {
    std::vector<model::Chunk> batch;
    for (size_t s = 0; s < tokens_.size(); ++s) batch.push_back(part(s, position, position + 1, 1));
    logits_.resize(batch.size() * static_cast<size_t>(runner_.vocab_size()));
    return runner_.forward(batch, logits_, {});
  }

  size_t count() const { return tokens_.size(); }

 private:
  model::Chunk part(size_t s, int32_t from, int32_t to, int32_t logit_rows) const {
    model::Chunk chunk;
    chunk.tokens = std::span<const int32_t>(tokens_[s])
                       .subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
    chunk.position = from;
    chunk.pages = pages_[s];
    chunk.logit_rows = logit_rows;
    return chunk;
  }
  engine::Runner& runner_;
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<std::vector<int32_t>> pages_;
  std::vector<float> logits_;
};

// The decode rows: what each sequence holds before. One stream starts from nothing, as llama-bench;
// several from a prompt each, as llama-batched-bench; a depth holds for both.
int32_t decode_context(const EngineBenchOptions& o, int32_t batch) {
  if (o.depth_tokens > 0) return o.depth_tokens;
  return batch == 1 ? 0 : o.batched_prompt_tokens;
}

// Runs rows of one set of options.
class Bench {
 public:
  Bench(engine::Runner& runner, const EngineBenchOptions& options, const Clock& clock)
      : runner_(runner), o_(options), clock_(clock) {}

  Result<EngineBenchRow> prefill() {
    const int32_t from = o_.depth_tokens;
    const int32_t to = from + o_.prompt_tokens;
    Sequences one(runner_, 1, to);
    WEIR_TRY(one.prefill(0, 0, from, o_.step_tokens));
    EngineBenchRow row{.test = name("pp", o_.prompt_tokens), .context_tokens = from};
    WEIR_TRY(
        measure(row, o_.prompt_tokens, [&] { return one.prefill(0, from, to, o_.step_tokens); }));
    return row;
  }

  Result<EngineBenchRow> decode(int32_t batch) {
    const int32_t context = decode_context(o_, batch);
    Sequences all(runner_, batch, context + o_.gen_tokens);
    for (size_t s = 0; s < all.count(); ++s) WEIR_TRY(all.prefill(s, 0, context, o_.step_tokens));
    EngineBenchRow row{
        .test = name("tg", o_.gen_tokens), .batch = batch, .context_tokens = context};
    const auto steps = [&]() -> Status {
      for (int32_t i = 0; i < o_.gen_tokens; ++i) WEIR_TRY(all.decode(context + i));
      return {};
    };
    WEIR_TRY(measure(row, static_cast<double>(o_.gen_tokens) * batch, steps));
    return row;
  }

 private:
  std::string name(const char* kind, int32_t tokens) const {
    std::string text = fmt::format("{}{}", kind, tokens);
    if (o_.depth_tokens > 0) text += fmt::format(" @ d{}", o_.depth_tokens);
    return text;
  }

  // Times `work`, of so many tokens a call, and fills in the rates.
  Status measure(EngineBenchRow& row, double tokens, const std::function<Status()>& work) {
    std::vector<double> rates;
    for (int32_t i = o_.warmup ? -1 : 0; i < o_.reps; ++i) {
      const int64_t start = clock_.now_ns();
      WEIR_TRY(work());
      const double seconds = std::max(1e-9, static_cast<double>(clock_.now_ns() - start) * 1e-9);
      if (i >= 0) rates.push_back(tokens / seconds);
    }
    std::sort(rates.begin(), rates.end());
    row.tokens_per_s = rates[rates.size() / 2];
    row.min_tokens_per_s = rates.front();
    row.max_tokens_per_s = rates.back();
    return {};
  }

  engine::Runner& runner_;
  const EngineBenchOptions& o_;
  const Clock& clock_;
};

}  // namespace

int64_t required_kv_tokens(const EngineBenchOptions& o, int32_t page_tokens) {
  int64_t pages =
      kv::pages_for(o.depth_tokens + std::max(o.prompt_tokens, o.gen_tokens), page_tokens);
  for (const int32_t b : o.batches)
    pages = std::max(pages,
                     int64_t{b} * kv::pages_for(decode_context(o, b) + o.gen_tokens, page_tokens));
  return pages * page_tokens;
}

Result<std::vector<EngineBenchRow>> bench_engine(
    engine::Runner& runner, const EngineBenchOptions& o, const Clock& clock,
    const std::function<void(const EngineBenchRow&)>& row_done) {
  std::vector<EngineBenchRow> rows;
  const auto done = [&](EngineBenchRow row) {
    if (row_done) row_done(row);
    rows.push_back(std::move(row));
  };
  int32_t longest = o.depth_tokens + o.prompt_tokens;
  for (const int32_t batch : o.batches)
    longest = std::max(longest, o.gen_tokens > 0 ? decode_context(o, batch) + o.gen_tokens : 0);
  if (longest > runner.max_context_tokens()) {
    return make_error(ErrorCode::kInvalidValue,
                      "a row needs {} tokens of context; the model's window is {}", longest,
                      runner.max_context_tokens());
  }
  Bench bench(runner, o, clock);
  if (o.prompt_tokens > 0) {
    WEIR_ASSIGN(EngineBenchRow row, bench.prefill());
    done(std::move(row));
  }
  if (o.gen_tokens < 1) return rows;
  for (const int32_t batch : o.batches) {
    WEIR_ASSIGN(EngineBenchRow row, bench.decode(batch));
    done(std::move(row));
  }
  return rows;
}

}  // namespace weir::bench
