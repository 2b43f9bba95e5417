// A request inside the engine, and each of its choices as a sequence of tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "engine/drafter.h"
#include "engine/fairness.h"
#include "engine/prompt_scorer.h"
#include "engine/request.h"
#include "engine/stop_scanner.h"
#include "kv/page_pool.h"
#include "kv/prefix_tree.h"
#include "model/pooling.h"
#include "text/detokenizer.h"

namespace weir::engine {

struct Sequence;

struct ActiveRequest {
  RequestId id = 0;
  Request request;
  std::unique_ptr<EventSink> sink;
  int64_t submitted_ns = 0;
  int64_t started_ns = 0;      // first step; 0: queued
  int64_t first_token_ns = 0;  // 0: none yet
  int64_t last_token_ns = 0;
  int64_t detokenize_ns = 0;
  FinishReason outcome = FinishReason::kStop;  // of the choice that ended last
  int32_t completion_tokens = 0;
  int32_t cached_tokens = 0;    // of the prompt, found when it started
  int32_t accepted_drafts = 0;  // tokens, over all choices
  int32_t rejected_drafts = 0;
  int32_t unfinished_choices = 0;
  bool paused = false;
  double raw_prediction_ms = 0;  // of the first token; before and after correction
  double predicted_ttft_ms = 0;
  std::vector<Event> events;       // of the running step
  std::vector<Sequence*> choices;  // unfinished or of the running step
};

struct Sequence {
  Sequence(ActiveRequest& r, int32_t index, const text::Tokenizer& tokenizer)
      : request(&r),
        choice(index),
        tokens(r.request.embeds() ? r.request.texts[static_cast<size_t>(index)] : r.request.prompt),
        prompt_tokens(tokens.size()),
        detokenizer(tokenizer, {.skip_special = true, .continues_text = true}),
        stops(r.request.stop) {}

  // Holds pages and lacks only its newest token.
  bool decodes() const {
    return !pages.empty() && static_cast<int32_t>(tokens.size()) - computed == 1;
  }
  // How many of its first tokens may be found computed when it starts: all but the last, which
  // gives logits; a prompt whose log probabilities are wanted as far as they were taken.
  size_t findable() const {
    const size_t most = tokens.size() - 1;
    return scorer.has_value() ? std::min(most, static_cast<size_t>(scorer->taken())) : most;
  }
  int32_t generated() const { return static_cast<int32_t>(tokens.size() - prompt_tokens); }

  ActiveRequest* request;  // owned by the engine, outlives its sequences
  int32_t choice;
  std::vector<int32_t> tokens;  // prompt and generated
  size_t prompt_tokens;
  int32_t computed = 0;  // tokens with keys and values in pages
  std::vector<kv::PageId> pages;
  // engine/prefix_cache.h
  Hash128 prefix_root;
  kv::PrefixCursor prefix;    // how far `pages` are in the prefix tree
  kv::PageId copy_from = -1;  // while it starts: the page whose beginning it takes
  bool tier_asked = false;    // since it last held pages
  bool looked_up = false;     // counted among those that asked the tree
  bool finished = false;
  uint64_t seniority = 0;         // lower is older; unique
  TenantState* tenant = nullptr;  // of Core's table
  bool in_line = false;           // waits for prompt tokens to be computed
  int32_t charged = 0;            // tokens that the tenant was charged for, or that were found
  int64_t backlog_tokens = 0;     // that admission still counts
  int64_t started_ns = 0;         // when it got its place; 0: never
  text::IncrementalDetokenizer detokenizer;
  StopScanner stops;
  std::optional<model::Pooler> pooler;  // of a text to embed
  std::optional<PromptScorer> scorer;   // until the prompt's log probabilities went out
  std::unique_ptr<Drafter> drafter;     // once it runs, where speculation is on
  std::vector<int32_t> draft;           // of the running step: what may follow `tokens`
  DraftModelRecord drafted;             // what the draft model guessed last
};

}  // namespace weir::engine
