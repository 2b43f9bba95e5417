#include "engine/calibration.h"

#include <algorithm>
#include <numeric>

namespace weir::engine {
namespace {

constexpr int32_t kDecodes = 8;        // sequences of the wide decode step
constexpr int32_t kFirstPrompt = 16;   // tokens; doubled while time is left
constexpr int32_t kDeepTokens = 1024;  // cached before the steps that show attention's part
constexpr int32_t kRepetitions = 3;    // of which the fastest counts: neighbours only slow down

class Prober {
 public:
  Prober(Runner& runner, const Clock& clock, const CalibrationOptions& options)
      : runner_(runner),
        clock_(clock),
        start_ns_(clock.now_ns()),
        budget_ms_(options.budget_ms),
        lanes_(std::clamp(runner.pages(), 1, std::min(kDecodes, runner.max_step_tokens()))),
        tokens_(static_cast<size_t>(runner.max_step_tokens()), runner.vocab_size() / 2) {
    all_pages_.resize(static_cast<size_t>(runner.pages()));
    std::iota(all_pages_.begin(), all_pages_.end(), 0);
  }

  Result<Calibration> run() {
    WEIR_TRY(decode(1, 0, 1));  // the first step touches every weight for the first time
    samples_.clear();
    WEIR_TRY(decode(1, 0, kRepetitions));
    WEIR_TRY(prompt(0, kFirstPrompt));
    if (affordable(2 * last_ms_)) WEIR_TRY(decode(lanes_, 0, kRepetitions));
    // What is read there was never written: zeros cost the arithmetic of attention, and less
    // memory traffic than values; steps that are served teach the rest.
    if (affordable(3 * last_ms_)) WEIR_TRY(prompt(kDeepTokens, 2 * kFirstPrompt));
    if (affordable(last_ms_)) WEIR_TRY(decode(1, kDeepTokens, kRepetitions));
    if (affordable(4 * last_ms_)) WEIR_TRY(decode(lanes_, kDeepTokens / kDecodes, kRepetitions));
    for (int32_t tokens = 4 * kFirstPrompt; tokens <= runner_.max_step_tokens(); tokens *= 2) {
      if (!affordable(tokens * prompt_token_ms_)) break;
      WEIR_TRY(prompt(0, tokens));
    }
    Calibration c;
    c.model = CostModel::fit(samples_);
    c.samples = std::move(samples_);
    c.took_ms = elapsed_ms();
    return c;
  }

 private:
  double elapsed_ms() const { return static_cast<double>(clock_.now_ns() - start_ns_) * 1e-6; }
  bool affordable(double ms) const { return elapsed_ms() + ms <= budget_ms_; }

  // tokens and position: cut to what a step and `pages` hold.
  model::Chunk chunk(std::span<const int32_t> pages, int32_t position, int32_t tokens) {
    const int32_t held = std::min(static_cast<int32_t>(pages.size()) * runner_.page_tokens(),
                                  runner_.max_context_tokens());
    tokens = std::min({tokens, held, runner_.max_step_tokens()});
    model::Chunk c;
    c.tokens = std::span<const int32_t>(tokens_).first(static_cast<size_t>(tokens));
    c.position = std::min(position, held - tokens);
    c.pages = pages;
    c.logit_rows = 1;
    return c;
  }

  // Runs a step at least once, up to `repetitions` times as time allows.
  Status time(std::span<const model::Chunk> batch, const StepWork& work, int32_t repetitions) {
    logits_.resize(batch.size() * static_cast<size_t>(runner_.vocab_size()));
    double best_ms = 0;
    for (int32_t i = 0; i < std::max(1, repetitions); ++i) {
      const int64_t from = clock_.now_ns();
      WEIR_TRY(runner_.forward(batch, logits_, {}));
      last_ms_ = static_cast<double>(clock_.now_ns() - from) * 1e-6;
      best_ms = i == 0 ? last_ms_ : std::min(best_ms, last_ms_);
      if (!affordable(last_ms_)) break;
    }
    last_ms_ = best_ms;
    samples_.push_back({work, best_ms});
    return {};
  }

  Status decode(int32_t lanes, int32_t position, int32_t repetitions) {
    const size_t each = all_pages_.size() / static_cast<size_t>(lanes);
    std::vector<model::Chunk> batch;
    StepWork work;
    for (size_t lane = 0; lane < static_cast<size_t>(lanes); ++lane) {
      batch.push_back(chunk(std::span(all_pages_).subspan(lane * each, each), position, 1));
      work.add_decode(batch.back().position + 1);
    }
    return time(batch, work, repetitions);
  }

  Status prompt(int32_t position, int32_t tokens) {
    const model::Chunk c = chunk(all_pages_, position, tokens);
    StepWork work;
    work.add_prefill(c.position, static_cast<int64_t>(c.tokens.size()));
    WEIR_TRY(time({&c, 1}, work, kRepetitions));
    prompt_token_ms_ = last_ms_ / static_cast<double>(c.tokens.size());
    return {};
  }

  Runner& runner_;
  const Clock& clock_;
  const int64_t start_ns_;
  const double budget_ms_;
  const int32_t lanes_;
  double last_ms_ = 0;
  double prompt_token_ms_ = 0;  // of the last prompt
  const std::vector<int32_t> tokens_;
  std::vector<int32_t> all_pages_;
  std::vector<float> logits_;
  std::vector<StepSample> samples_;
};

}  // namespace

Result<Calibration> calibrate(Runner& runner, const Clock& clock,
                              const CalibrationOptions& options) {
  if (runner.embedding().encoder) return Calibration{};
  auto calibration = Prober(runner, clock, options).run();
  runner.clear_pages();  // what the probes wrote would stay resident
  return calibration;
}

}  // namespace weir::engine
