// The part of Core after a step's forward: from rows of logits and hidden states to tokens, log
// probabilities, embeddings and the events that carry them.
#include <algorithm>
#include <utility>

#include "engine/core.h"

namespace weir::engine {

void Core::commit(std::span<const PlannedChunk> chunks) {
  const auto vocab = static_cast<size_t>(runner_.vocab_size());
  const auto dim = static_cast<size_t>(embedding_.dim);
  size_t row = 0;
  size_t hidden_row = 0;
  for (const PlannedChunk& c : chunks) {
    Sequence& s = *lineup_[c.sequence];
    if (s.pooler.has_value()) {
      const auto rows = static_cast<size_t>(s.pooler->wanted_rows(s.computed, c.tokens));
      s.pooler->add(s.computed,
                    std::span<const float>(hidden_).subspan(hidden_row * dim, rows * dim));
      hidden_row += rows;
    }
    const bool decode = s.generated() > 0 && s.decodes();
    const std::span<float> logits = std::span<float>(logits_).subspan(row * vocab);
    const auto scored = static_cast<size_t>(prompt_rows(s, c)) * vocab;
    const auto sampled = static_cast<size_t>(sample_rows(s, c)) * vocab;
    row += (scored + sampled) / vocab;
    s.computed += c.tokens;
    charge(s, decode);
    if (s.generated() == 0 || c.tokens > 1)
      counters_.prompt_tokens += static_cast<uint64_t>(c.tokens);
    prefix_.committed(s);
    Status taken;
    if (scored > 0)
      taken =
          s.scorer->add(kernels::kernels_for(runner_.isa()), s.tokens, logits.first(scored), vocab);
    if (!taken.ok()) {
      fail(s, taken.error());
    } else if (c.samples && s.pooler.has_value()) {
      take_embedding(s);
    } else if (c.samples) {
      end_prompt(s);
      if (!s.finished) take_drafted(s, logits.subspan(scored, sampled));
    }
    settle(s);
  }
  recorder_.mark(Phase::kSample);
}

// Samples after the newest token, then after each draft as long as it is the token that was
// sampled. logits: [1 + drafts, vocab].
void Core::take_drafted(Sequence& s, std::span<float> logits) {
  const auto vocab = static_cast<size_t>(runner_.vocab_size());
  const auto drafts = static_cast<int32_t>(logits.size() / vocab) - 1;
  int32_t accepted = 0;
  for (size_t row = 0; !s.finished; ++row) {
    const size_t known = s.tokens.size();
    take_token(s, logits.subspan(row * vocab, vocab));
    if (accepted == drafts || s.tokens.size() == known || s.tokens.back() != s.draft[row]) break;
    ++accepted;
    if (s.finished) break;
    ++s.computed;  // its keys and values are there
    charge(s, true);
  }
  if (drafts == 0) return;
  s.request->accepted_drafts += accepted;
  s.request->rejected_drafts += drafts - accepted;
  counters_.draft_tokens += static_cast<uint64_t>(drafts);
  counters_.accepted_draft_tokens += static_cast<uint64_t>(accepted);
  // Pages that only rejected drafts needed.
  const int32_t page_tokens = runner_.page_tokens();
  const auto needed = static_cast<size_t>(kv::pages_for(s.computed, page_tokens));
  while (s.pages.size() > needed) {
    pool_.release(s.pages.back());
    s.pages.pop_back();
  }
}

// Rows of logits that a chunk has for the prompt's own tokens.
int32_t Core::prompt_rows(const Sequence& s, const PlannedChunk& c) {
  return s.scorer.has_value() ? s.scorer->wanted_rows(s.computed, c.tokens) : 0;
}

// Rows behind those, to sample from. A prompt alone has one too, for rows are the last of a chunk.
int32_t Core::sample_rows(const Sequence& s, const PlannedChunk& c) {
  return c.samples && !s.pooler.has_value() ? 1 + c.drafts : 0;
}

// All known tokens are computed. If that is the prompt for the first time, its log probabilities go
// out where wanted, and the choice ends where nothing else is.
void Core::end_prompt(Sequence& s) {
  if (s.scorer.has_value()) {
    event_for(s).prompt = s.scorer->take();
    s.scorer.reset();
  }
  if (!s.request->request.prompt_only) return;
  ActiveRequest& r = *s.request;
  r.first_token_ns = r.last_token_ns = std::max<int64_t>(clock_.now_ns(), 1);
  finish(s, FinishReason::kLength);
}

// The text is computed: its embedding goes out.
void Core::take_embedding(Sequence& s) {
  auto embedding = s.pooler->finish();
  if (!embedding.ok()) return fail(s, embedding.error());
  ActiveRequest& r = *s.request;
  r.first_token_ns = r.last_token_ns = std::max<int64_t>(clock_.now_ns(), 1);
  event_for(s).embedding = std::move(*embedding);
  finish(s, FinishReason::kStop);
}

void Core::take_token(Sequence& s, std::span<float> logits) {
  const Request& q = s.request->request;
  banned_.clear();
  if (s.generated() < q.min_tokens) {
    banned_ = tokenizer_.eog_tokens();
    banned_.insert(banned_.end(), q.stop_token_ids.begin(), q.stop_token_ids.end());
  }
  const std::span<const int32_t> all(s.tokens);
  auto token = sampler_.sample(logits, q.sampling,
                               {all.first(s.prompt_tokens), all.subspan(s.prompt_tokens)}, banned_,
                               s.choice, static_cast<int64_t>(s.tokens.size()));
  if (token.ok()) {
    accept(s, std::move(*token));
  } else {
    fail(s, token.error());
  }
}

void Core::accept(Sequence& s, TokenInfo token) {
  ActiveRequest& r = *s.request;
  const Request& q = r.request;
  const int64_t now = std::max<int64_t>(clock_.now_ns(), 1);
  if (r.first_token_ns == 0) {
    r.first_token_ns = now;
    report_.first_tokens.push_back(
        {r.raw_prediction_ms, static_cast<double>(now - r.submitted_ns) * 1e-6});
  }
  r.last_token_ns = now;
  ++r.completion_tokens;
  ++counters_.generated_tokens;
  TenantTable::charge(*s.tenant, 0, 1);
  const int32_t id = token.id;
  s.tokens.push_back(id);
  const bool ends =
      (!q.ignore_eos && tokenizer_.is_eog(id)) ||
      std::find(q.stop_token_ids.begin(), q.stop_token_ids.end(), id) != q.stop_token_ids.end();
  if (ends) {
    event_for(s).end_token = std::move(token);
    finish(s, FinishReason::kStop);
    return;
  }
  event_for(s).tokens.push_back(std::move(token));
  const bool stopped = add_text(s, id);
  r.detokenize_ns += clock_.now_ns() - now;
  if (stopped) {
    s.detokenizer.flush();  // nothing follows a stop string
    finish(s, FinishReason::kStop);
  } else if (s.generated() >= q.max_tokens) {
    finish(s, FinishReason::kLength);
  }
}

// Adds a token's text to the event; whether a stop string ended it.
bool Core::add_text(Sequence& s, int32_t id) {
  const std::string piece = s.detokenizer.push(id);
  if (s.generated() <= s.request->request.min_tokens) {
    event_for(s).text += piece;
    return false;
  }
  StopScanner::Output out = s.stops.push(piece);
  event_for(s).text += out.text;
  return out.stopped;
}

Event& Core::event_for(Sequence& s) {
  for (Event& e : s.request->events) {
    if (e.choice == s.choice) return e;
  }
  if (s.request->events.empty()) touched_.push_back(s.request);
  Event& e = s.request->events.emplace_back();
  e.choice = s.choice;
  return e;
}

}  // namespace weir::engine
