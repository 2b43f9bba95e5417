#include "ops/eval/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "ops/eval/choice_score.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxRows = 256;  // of logits in one forward call: 50 MB at 49,152 words

// An item in tokens, and where it lies in the cache.
struct Encoded {
  const ChoiceItem* item = nullptr;
  std::vector<int32_t> prompt;
  bool cut = false;   // the prompt lost its beginning
  size_t shared = 0;  // tokens of the prompt that are the common prefix
  std::vector<std::vector<int32_t>> choices;
  std::vector<int32_t> pages;          // of the prompt
  std::vector<double> log_likelihood;  // of each choice, so far
};

class ChoiceScorer {
 public:
  ChoiceScorer(engine::Runner& runner, const text::Tokenizer& tokenizer, int64_t& tokens,
               const ChoiceDone& done)
      : runner_(runner),
        tokenizer_(tokenizer),
        tokens_(tokens),
        done_(done),
        kernels_(kernels::kernels_for(runner.isa())),
        page_tokens_(static_cast<size_t>(runner.page_tokens())),
        step_tokens_(static_cast<size_t>(runner.max_step_tokens())),
        vocab_(static_cast<size_t>(runner.vocab_size())) {}

  Result<std::vector<EvalItem>> run(std::span<const ChoiceItem> items,
                                    const ChoiceProgress& progress) {
    std::vector<Encoded> all;
    for (const ChoiceItem& item : items) {
      WEIR_ASSIGN(Encoded e, encode(item));
      all.push_back(std::move(e));
    }
    WEIR_TRY(read_prefix(all));
    const auto free_pages = static_cast<size_t>(runner_.pages()) - prefix_pages_.size();
    std::vector<Encoded> batch;
    size_t pages = 0, prompt_tokens = 0;
    for (Encoded& e : all) {
      const size_t more = pages_of(e);
      const size_t own = e.prompt.size() - e.shared;
      const bool full = pages + more > free_pages || prompt_tokens + own > step_tokens_;
      if (full && !batch.empty()) {
        WEIR_TRY(score(batch));
        if (progress)
          progress(static_cast<int64_t>(out_.size()), static_cast<int64_t>(items.size()));
        batch.clear();
        pages = prompt_tokens = 0;
      }
      if (more > free_pages) {
        return make_error(ErrorCode::kInvalidValue,
                          "item {} needs {} pages of {} tokens and the cache has {}: give a larger "
                          "--ctx",
                          e.item->id, more + prefix_pages_.size(), page_tokens_, runner_.pages());
      }
      pages += more;
      prompt_tokens += own;
      batch.push_back(std::move(e));
    }
    WEIR_TRY(score(batch));
    if (progress) progress(static_cast<int64_t>(out_.size()), static_cast<int64_t>(items.size()));
    return std::move(out_);
  }

 private:
  // Whole pages that all prompts begin with, as few-shot prompts do, are computed once. Prompts
  // that lost their beginning share nothing.
  Status read_prefix(std::vector<Encoded>& all) {
    std::span<const int32_t> prefix;
    size_t sharing = 0;
    for (const Encoded& e : all) {
      if (e.cut) continue;
      if (sharing++ == 0) prefix = std::span<const int32_t>(e.prompt).first(e.prompt.size() - 1);
      const size_t most = std::min(prefix.size(), e.prompt.size() - 1);
      const auto same = std::mismatch(prefix.begin(), prefix.begin() + static_cast<ptrdiff_t>(most),
                                      e.prompt.begin());
      prefix = prefix.first(static_cast<size_t>(same.first - prefix.begin()));
    }
    const size_t pages =
        std::min(prefix.size() / page_tokens_, static_cast<size_t>(runner_.pages()) / 2);
    if (sharing < 2 || pages == 0) return {};
    // Those that share nothing must fit beside it.
    for (const Encoded& e : all) {
      if (e.cut && pages + pages_of(e) > static_cast<size_t>(runner_.pages())) return {};
    }
    prefix = prefix.first(pages * page_tokens_);
    prefix_pages_ = take_pages(pages);
    WEIR_TRY(read(prefix, 0, prefix.size(), prefix_pages_));
    for (Encoded& e : all) e.shared = e.cut ? 0 : prefix.size();
    return {};
  }

  // Computes the tokens [from, to), in steps.
  Status read(std::span<const int32_t> tokens, size_t from, size_t to,
              std::span<const int32_t> pages) {
    while (from < to) {
      const size_t n = std::min(step_tokens_, to - from);
      const model::Chunk chunk{tokens.subspan(from, n), static_cast<int32_t>(from), pages, 0, 0};
      WEIR_TRY(forward({&chunk, 1}, 0));
      from += n;
    }
    return {};
  }

  Result<Encoded> encode(const ChoiceItem& item) const {
    const text::EncodeOptions options{.add_bos_eos = true, .parse_special = false};
    Encoded e;
    e.item = &item;
    e.prompt = tokenizer_.encode(choice_context(item), options);
    size_t longest = 0;
    for (size_t c = 0; c < item.choices.size(); ++c) {
      std::vector<int32_t> whole = tokenizer_.encode(choice_text(item, c), options);
      whole.erase(whole.begin(),
                  whole.begin() + static_cast<ptrdiff_t>(std::min(whole.size(), e.prompt.size())));
      longest = std::max(longest, whole.size());
      e.choices.push_back(std::move(whole));
    }
    const bool empty = std::any_of(e.choices.begin(), e.choices.end(),
                                   [](const auto& choice) { return choice.empty(); });
    const auto window = static_cast<size_t>(runner_.max_context_tokens());
    if (e.prompt.empty() || empty || longest >= std::min(window, step_tokens_)) {
      return make_error(ErrorCode::kInvalidValue,
                        "item {}: prompt and choices must have a token each, and a choice fewer "
                        "than {}; they have {} and up to {}",
                        item.id, std::min(window, step_tokens_), e.prompt.size(), longest);
    }
    if (e.prompt.size() + longest > window) {
      e.prompt.erase(e.prompt.begin(), e.prompt.end() - static_cast<ptrdiff_t>(window - longest));
      e.cut = true;
    }
    e.log_likelihood.assign(e.choices.size(), 0.0);
    return e;
  }

  size_t pages_for(size_t tokens) const { return (tokens + page_tokens_ - 1) / page_tokens_; }

  // Beside the common prefix. A choice shares the whole pages of its prompt.
  size_t pages_of(const Encoded& e) const {
    size_t pages = pages_for(e.prompt.size()) - e.shared / page_tokens_;
    for (const auto& choice : e.choices) {
      pages += pages_for(e.prompt.size() + choice.size() - 1) - e.prompt.size() / page_tokens_;
    }
    return pages;
  }

  std::vector<int32_t> take_pages(size_t count) {
    std::vector<int32_t> pages(count);
    for (int32_t& page : pages) page = next_page_++;
    return pages;
  }

  Status score(std::vector<Encoded>& batch) {
    next_page_ = static_cast<int32_t>(prefix_pages_.size());
    WEIR_TRY(read_prompts(batch));
    WEIR_TRY(read_choices(batch));
    for (const Encoded& e : batch) {
      out_.push_back(scored_choice(*e.item, e.log_likelihood));
      if (e.cut) out_.back().scores.emplace_back(kPromptCut, 1);
      if (done_) WEIR_TRY(done_(out_.size() - 1, out_.back()));
    }
    return {};
  }

  // The last position of a prompt has the first token of every choice.
  Status read_prompts(std::vector<Encoded>& batch) {
    std::vector<model::Chunk> chunks;
    for (Encoded& e : batch) {
      if (e.shared > 0) e.pages = prefix_pages_;
      const auto own = take_pages(pages_for(e.prompt.size()) - e.pages.size());
      e.pages.insert(e.pages.end(), own.begin(), own.end());
      const size_t steps = (e.prompt.size() - e.shared - 1) / step_tokens_;
      const size_t last = e.shared + steps * step_tokens_;  // where the step with logits begins
      WEIR_TRY(read(e.prompt, e.shared, last, e.pages));
      chunks.push_back({std::span<const int32_t>(e.prompt).subspan(last),
                        static_cast<int32_t>(last), e.pages, 1, 0});
    }
    WEIR_TRY(forward(chunks, batch.size()));
    for (size_t i = 0; i < batch.size(); ++i) {
      Encoded& e = batch[i];
      for (size_t c = 0; c < e.choices.size(); ++c) WEIR_TRY(add(e, c, i, e.choices[c].front()));
    }
    return {};
  }

  struct Part {
    Encoded* item;
    size_t choice;
    std::vector<int32_t> pages;
  };

  Status read_choices(std::vector<Encoded>& batch) {
    std::vector<Part> parts;
    size_t rows = 0;
    for (Encoded& e : batch) {
      for (size_t c = 0; c < e.choices.size(); ++c) {
        const size_t more = e.choices[c].size() - 1;
        if (more == 0) continue;
        if (!parts.empty() && rows + more > std::min(kMaxRows, step_tokens_)) {
          WEIR_TRY(run(parts, rows));
          parts.clear();
          rows = 0;
        }
        parts.push_back({&e, c, pages_after(e, more)});
        rows += more;
      }
    }
    return run(parts, rows);
  }

  std::vector<int32_t> pages_after(const Encoded& e, size_t more) {
    const size_t shared = e.prompt.size() / page_tokens_;
    std::vector<int32_t> pages(e.pages.begin(), e.pages.begin() + static_cast<ptrdiff_t>(shared));
    for (const int32_t page : take_pages(pages_for(e.prompt.size() + more) - shared))
      pages.push_back(page);
    if (e.prompt.size() % page_tokens_ != 0) runner_.copy_page(e.pages[shared], pages[shared]);
    return pages;
  }

  Status run(const std::vector<Part>& parts, size_t rows) {
    if (parts.empty()) return {};
    std::vector<model::Chunk> chunks;
    for (const Part& part : parts) {
      const std::vector<int32_t>& choice = part.item->choices[part.choice];
      chunks.push_back({std::span<const int32_t>(choice).first(choice.size() - 1),
                        static_cast<int32_t>(part.item->prompt.size()), part.pages,
                        static_cast<int32_t>(choice.size() - 1), 0});
    }
    WEIR_TRY(forward(chunks, rows));
    size_t row = 0;
    for (const Part& part : parts) {
      const std::vector<int32_t>& choice = part.item->choices[part.choice];
      for (size_t i = 1; i < choice.size(); ++i)
        WEIR_TRY(add(*part.item, part.choice, row++, choice[i]));
    }
    return {};
  }

  Status forward(std::span<const model::Chunk> chunks, size_t rows) {
    for (const model::Chunk& chunk : chunks) tokens_ += static_cast<int64_t>(chunk.tokens.size());
    logits_.resize(rows * vocab_);
    WEIR_TRY(runner_.forward(chunks, logits_, {}));
    log_totals_.resize(rows);
    for (size_t row = 0; row < rows; ++row)
      log_totals_[row] = kernels::log_sum_exp(kernels_, logits_.data() + row * vocab_, vocab_);
    return {};
  }

  Status add(Encoded& e, size_t choice, size_t row, int32_t token) {
    const double loss =
        log_totals_[row] - static_cast<double>(logits_[row * vocab_ + static_cast<size_t>(token)]);
    if (!std::isfinite(loss)) {
      return make_error(ErrorCode::kInternal, "item {}: a logit of choice {} is not finite",
                        e.item->id, choice);
    }
    e.log_likelihood[choice] -= loss;
    return {};
  }

  engine::Runner& runner_;
  const text::Tokenizer& tokenizer_;
  int64_t& tokens_;
  const ChoiceDone& done_;
  const kernels::Kernels& kernels_;
  size_t page_tokens_;
  size_t step_tokens_;
  size_t vocab_;
  std::vector<int32_t> prefix_pages_;  // of what all prompts begin with
  int32_t next_page_ = 0;
  std::vector<float> logits_;       // of the last forward call
  std::vector<double> log_totals_;  // log_sum_exp of each of its rows
  std::vector<EvalItem> out_;
};

}  // namespace

Result<std::vector<EvalItem>> score_choices(engine::Runner& runner,
                                            const text::Tokenizer& tokenizer,
                                            std::span<const ChoiceItem> items, int64_t& tokens,
                                            const ChoiceProgress& progress,
                                            const ChoiceDone& done) {
  return ChoiceScorer(runner, tokenizer, tokens, done).run(items, progress);
}

}  // namespace weir::ops
