#include "engine/draft_model.h"

#include <algorithm>

namespace weir::engine {
namespace {

// Tokens of texts that are read in one call before its drafts: bounds the delay of the step.
constexpr int32_t kReadTokens = 256;

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

}  // namespace

Status check_same_vocabulary(const text::Tokenizer& model, const text::Tokenizer& draft) {
  if (model.vocab_size() != draft.vocab_size()) {
    return make_error(ErrorCode::kInvalidValue,
                      "a draft model needs the vocabulary of the model: it has {} tokens, the "
                      "model {}; take a smaller model of the same family",
                      draft.vocab_size(), model.vocab_size());
  }
  for (int32_t id = 0; id < model.vocab_size(); ++id) {
    if (model.token_text(id) == draft.token_text(id)) continue;
    return make_error(ErrorCode::kInvalidValue,
                      "a draft model needs the vocabulary of the model: token {} is \"{}\", in the "
                      "model \"{}\"; take a smaller model of the same family",
                      id, draft.token_text(id), model.token_text(id));
  }
  return {};
}

DraftModel::DraftModel(Runner& runner, int32_t vocab)
    : runner_(runner), vocab_(std::min(vocab, runner.vocab_size())), pool_(runner.pages()) {}

void DraftModel::forget(const void* sequence) {
  const auto it = texts_.find(sequence);
  if (it == texts_.end()) return;
  pool_.release_all(it->second.pages);
  texts_.erase(it);
}

// Pages for so many tokens; takes them from texts that nobody wanted in this call, oldest first.
bool DraftModel::make_room(Text& text, size_t tokens) {
  const auto page_tokens = static_cast<size_t>(runner_.page_tokens());
  const size_t wanted = (tokens + page_tokens - 1) / page_tokens;
  if (wanted <= text.pages.size()) return true;
  const auto more = static_cast<int32_t>(wanted - text.pages.size());
  while (pool_.free_pages() < more) {
    auto victim = texts_.end();
    for (auto it = texts_.begin(); it != texts_.end(); ++it) {
      if (it->second.used == calls_ || it->second.pages.empty()) continue;
      if (victim == texts_.end() || it->second.used < victim->second.used) victim = it;
    }
    if (victim == texts_.end()) return false;
    trim(victim->second, 0);
  }
  return pool_.allocate(more, text.pages);
}

// Forgets what comes after the first `tokens`.
void DraftModel::trim(Text& text, size_t tokens) {
  const auto page_tokens = static_cast<size_t>(runner_.page_tokens());
  text.computed.resize(std::min(text.computed.size(), tokens));
  while (text.pages.size() > (text.computed.size() + page_tokens - 1) / page_tokens) {
    pool_.release(text.pages.back());
    text.pages.pop_back();
  }
}

int32_t DraftModel::best(std::span<const float> logits) const {
  const auto end = logits.begin() + vocab_;
  return static_cast<int32_t>(std::max_element(logits.begin(), end) - logits.begin());
}

// Computes parts_, each behind what its text has; logits_: one row for each.
Status DraftModel::forward() {
  std::vector<model::Chunk> batch;
  for (const Part& p : parts_) {
    model::Chunk chunk;
    chunk.tokens = p.tokens;
    chunk.position = static_cast<int32_t>(p.text->computed.size());
    chunk.pages = p.text->pages;
    chunk.logit_rows = 1;
    batch.push_back(chunk);
  }
  logits_.resize(batch.size() * static_cast<size_t>(runner_.vocab_size()));
  WEIR_TRY(runner_.forward(batch, logits_, {}));
  for (const Part& p : parts_)
    p.text->computed.insert(p.text->computed.end(), p.tokens.begin(), p.tokens.end());
  return {};
}

// Plans what each text lacks, within the tokens of a step.
void DraftModel::read_texts(std::span<Want> wants) {
  parts_.clear();
  size_t left = static_cast<size_t>(std::min(kReadTokens, runner_.max_step_tokens()));
  const auto window = static_cast<size_t>(runner_.max_context_tokens());
  for (const Want& w : wants) texts_[w.sequence].used = calls_;
  for (Want& w : wants) {
    Text& text = texts_[w.sequence];
    if (w.count < 1 || w.tokens.empty() || left == 0) continue;
    const size_t end = w.tokens.size() + static_cast<size_t>(w.count) - 1;
    if (end > window) continue;
    // The last known token is always computed, for the logits after it.
    trim(text, std::min(common_prefix(text.computed, w.tokens), w.tokens.size() - 1));
    const size_t from = text.computed.size();
    const size_t count = std::min(left, w.tokens.size() - from);
    const bool reads_on = from + count < w.tokens.size();
    if (!make_room(text, reads_on ? from + count : end)) continue;
    left -= count;
    const std::span<const int32_t> part = w.tokens.subspan(from, count);
    parts_.push_back({&w, &text, {part.begin(), part.end()}, reads_on});
  }
}

void DraftModel::draft(std::span<Want> wants) {
  ++calls_;
  read_texts(wants);
  while (!parts_.empty()) {
    if (!forward().ok()) {
      for (Want& w : wants) w.drafts.clear();
      return;
    }
    std::vector<Part> next;
    for (size_t i = 0; i < parts_.size(); ++i) {
      Part& p = parts_[i];
      if (p.reads_on) continue;
      const auto vocab = static_cast<size_t>(runner_.vocab_size());
      const int32_t token = best(std::span<const float>(logits_).subspan(i * vocab, vocab));
      p.want->drafts.push_back(token);
      if (std::cmp_less(p.want->drafts.size(), p.want->count))
        next.push_back({p.want, p.text, {token}});
    }
    parts_ = std::move(next);
  }
}

}  // namespace weir::engine
