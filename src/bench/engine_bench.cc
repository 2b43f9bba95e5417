#include "bench/engine_bench.h"

#include <algorithm>
#include <numeric>

#include "base/rng.h"

namespace weir::bench {
namespace {

int32_t pages_for(int32_t tokens, int32_t page_tokens) {
  return (tokens + page_tokens - 1) / page_tokens;
}

// Sequences with made-up tokens, each with its own run of pages.
class Sequences {
 public:
  Sequences(engine::Runner& runner, int32_t count, int32_t tokens_each) : runner_(runner) {
    const int32_t pages_each = pages_for(tokens_each, runner.page_tokens());
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
      WEIR_TRY(runner_.forward({&chunk, 1}, logits_));
    }
    return {};
  }

  // One decode step of all sequences at a position.
  Status decode(int32_t position) {
    std::vector<model::Chunk> batch;
    for (size_t s = 0; s < tokens_.size(); ++s) batch.push_back(part(s, position, position + 1, 1));
    logits_.resize(batch.size() * static_cast<size_t>(runner_.vocab_size()));
    return runner_.forward(batch, logits_);
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

EngineBenchRow summarize(std::string test, int32_t batch, std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  return {std::move(test), batch, rates[rates.size() / 2], rates.front(), rates.back()};
}

// Times `work` reps times after one warm-up; tokens per call give the rate.
Result<EngineBenchRow> measure(const std::string& test, int32_t batch, int32_t reps, double tokens,
                               const Clock& clock, const std::function<Status()>& work) {
  std::vector<double> rates;
  for (int32_t i = 0; i <= reps; ++i) {
    const int64_t start = clock.now_ns();
    WEIR_TRY(work());
    const double seconds = std::max(1e-9, static_cast<double>(clock.now_ns() - start) * 1e-9);
    if (i > 0) rates.push_back(tokens / seconds);
  }
  return summarize(test, batch, std::move(rates));
}

}  // namespace

int64_t required_kv_tokens(const EngineBenchOptions& o, int32_t page_tokens) {
  int64_t pages = pages_for(std::max(o.prompt_tokens, o.gen_tokens), page_tokens);
  for (const int32_t b : o.batches) {
    const int32_t context = b == 1 ? 0 : o.batched_prompt_tokens;
    pages = std::max(pages, int64_t{b} * pages_for(context + o.gen_tokens, page_tokens));
  }
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
  const int32_t longest = std::max(o.prompt_tokens, o.batched_prompt_tokens + o.gen_tokens);
  if (longest > runner.max_context_tokens()) {
    return make_error(ErrorCode::kInvalidValue,
                      "a row needs {} tokens of context; the model's window is {}", longest,
                      runner.max_context_tokens());
  }
  if (o.prompt_tokens > 0) {
    Sequences one(runner, 1, o.prompt_tokens);
    WEIR_ASSIGN(EngineBenchRow row,
                measure(fmt::format("pp{}", o.prompt_tokens), 1, o.reps, o.prompt_tokens, clock,
                        [&] { return one.prefill(0, 0, o.prompt_tokens, o.step_tokens); }));
    done(std::move(row));
  }
  if (o.gen_tokens < 1) return rows;
  for (const int32_t batch : o.batches) {
    // One stream starts from nothing, as llama-bench; several from a prompt each, as
    // llama-batched-bench.
    const int32_t context = batch == 1 ? 0 : o.batched_prompt_tokens;
    Sequences all(runner, batch, context + o.gen_tokens);
    for (size_t s = 0; s < all.count() && context > 0; ++s)
      WEIR_TRY(all.prefill(s, 0, context, o.step_tokens));
    WEIR_ASSIGN(EngineBenchRow row,
                measure(fmt::format("tg{}", o.gen_tokens), batch, o.reps,
                        static_cast<double>(o.gen_tokens) * batch, clock, [&]() -> Status {
                          for (int32_t i = 0; i < o.gen_tokens; ++i)
                            WEIR_TRY(all.decode(context + i));
                          return {};
                        }));
    done(std::move(row));
  }
  return rows;
}

}  // namespace weir::bench
