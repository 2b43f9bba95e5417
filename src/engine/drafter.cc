#include "engine/drafter.h"

#include <algorithm>
#include <utility>

namespace weir::engine {
namespace {

constexpr int32_t kSeparator = -1;
constexpr double kOwnWindow = 48;  // observations: about the last paragraph or two
constexpr double kSharedWindow = 4096;
// A prediction is followed from its start as if so many tokens had matched: its sender says so.
constexpr int32_t kPredictionRun = 12;
// An edit puts at most so many tokens in or out before the copy goes on; more, and the suffix of
// the whole text finds the place. Bounds the work of a token.
constexpr int32_t kLookBack = 16;
constexpr int32_t kLookAhead = 64;
constexpr int32_t kResumeWithin = 24;  // tokens after the divergence
constexpr int32_t kLongestCompared = 16;
// A match elsewhere must be this many times as long as one near by.
constexpr int32_t kElsewhereFactor = 3;

}  // namespace

Drafter::Drafter(std::span<const int32_t> prediction, std::vector<int32_t> past,
                 size_t prompt_tokens, DraftStats& shared, int32_t max_tokens)
    : index_(max_tokens), shared_(shared), prompt_tokens_(prompt_tokens), past_(std::move(past)) {
  std::reverse(past_.begin(), past_.end());
  if (prediction.empty()) return;
  const size_t kept = std::min(prediction.size(), static_cast<size_t>(max_tokens / 2 - 1));
  for (const int32_t t : prediction.first(kept)) index_.push(t);
  index_.push(kSeparator);
  predicted_ = true;
}

int32_t Drafter::read(std::span<const int32_t> tokens, int32_t budget) {
  int32_t count = 0;
  for (; !past_.empty() && count < budget; ++count) {
    push(past_.back());
    past_.pop_back();
  }
  for (; read_ < tokens.size() && count < budget; ++count) {
    const int32_t token = tokens[read_++];
    const bool output = read_ > prompt_tokens_;
    if (output) learn(token);
    follow(token);
    push(token);
    if (read_ == prompt_tokens_ && predicted_) {
      cursor_ = 0;
      run_ = kPredictionRun;
      diverged_at_ = -1;
    } else if (read_ >= prompt_tokens_) {
      find_place();
    }
  }
  return count;
}

void Drafter::push(int32_t token) {
  const int32_t forgotten = index_.push(token);
  if (forgotten == 0) return;
  predicted_ = false;
  cursor_ = cursor_ >= forgotten ? cursor_ - forgotten : -1;
  diverged_at_ = diverged_at_ >= forgotten ? diverged_at_ - forgotten : -1;
}

// Was the token what would have been proposed?
void Drafter::learn(int32_t token) {
  if (cursor_ < 0) return;
  const size_t c = DraftStats::class_of(run_, resumed_);
  const bool right = token_at(cursor_) == token;
  own_.add(c, right, kOwnWindow);
  shared_.add(c, right, kSharedWindow);
}

void Drafter::follow(int32_t token) {
  ++since_diverged_;
  if (cursor_ < 0) return;
  if (token_at(cursor_) == token) {
    ++run_;
    ++cursor_;
    return;
  }
  if (run_ > DraftStats::kResumedRuns) {  // a copy, not a few words that occur often
    diverged_at_ = cursor_;
    since_diverged_ = 0;
  }
  cursor_ = -1;
  run_ = 0;
}

// Where the text goes on, after a token that has just been pushed.
void Drafter::find_place() {
  const SuffixIndex::Match match = index_.match();
  if (cursor_ < 0 && diverged_at_ >= 0) {
    if (since_diverged_ <= kResumeWithin) {
      resume_nearby();
    } else {
      diverged_at_ = -1;
    }
  }
  const bool near = cursor_ >= 0 && resumed_ && run_ <= DraftStats::kResumedRuns;
  const int32_t enough = near ? run_ * kElsewhereFactor + 1 : run_;
  if (cursor_ >= 0 && match.length <= enough) return;
  if (match.length == 0) return;
  cursor_ = match.position;
  run_ = match.length;
  resumed_ = false;
}

// The longest match of the last tokens that ends near the divergence; of equals the nearest. Right
// after it, without any: one token was replaced by one.
void Drafter::resume_nearby() {
  const std::span<const int32_t> text = index_.text();
  const auto last = static_cast<int32_t>(text.size()) - 1;
  const int32_t expected = diverged_at_ + since_diverged_ + 1;
  int32_t best = 0;
  int32_t best_position = -1;
  const int32_t from = std::max(1, expected - kLookBack);
  const int32_t to = std::min(last, expected + kLookAhead);
  for (int32_t p = from; p <= to; ++p) {
    int32_t n = 0;
    while (n < std::min(p, kLongestCompared) && token_at(p - 1 - n) == token_at(last - n)) ++n;
    if (n == 0) continue;
    const bool nearer = std::abs(p - expected) < std::abs(best_position - expected);
    if (n > best || (n == best && nearer)) {
      best = n;
      best_position = p;
    }
  }
  if (best == 0 && since_diverged_ == 0 && expected <= last) best_position = expected;
  if (best_position < 0) return;
  cursor_ = best_position;
  run_ = best;
  resumed_ = true;
}

Draft Drafter::propose(std::span<const int32_t> tokens, int32_t count) const {
  Draft draft;
  if (cursor_ < 0 || read_ != tokens.size()) return draft;
  const auto size = static_cast<int32_t>(index_.text().size());
  double chance = 1.0;
  for (int32_t i = 0; i < count; ++i) {
    // Past the end of the text a periodic one goes on with what was proposed.
    const int32_t position = cursor_ + i;
    const int32_t token =
        position < size ? token_at(position) : draft.tokens[static_cast<size_t>(position - size)];
    if (token < 0) break;
    const size_t c = DraftStats::class_of(run_ + i, resumed_);
    chance *= own_.rate(c, shared_);
    draft.tokens.push_back(token);
    draft.chances.push_back(chance);
  }
  return draft;
}

}  // namespace weir::engine
