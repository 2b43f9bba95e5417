#include "engine/invariants.h"

namespace weir::engine {
namespace {

Status check_sequence(const Sequence& s, int32_t page_tokens, int32_t max_context_tokens) {
  const auto tokens = static_cast<int32_t>(s.tokens.size());
  const auto pages = static_cast<int32_t>(s.pages.size());
  if (s.finished)
    return make_error(ErrorCode::kInternal, "kNothingRemains: a finished sequence is still there");
  if (s.computed < 0 || s.computed >= tokens || pages != kv::pages_for(s.computed, page_tokens)) {
    return make_error(ErrorCode::kInternal,
                      "kStepCommitted: request {} has {} tokens, {} computed, {} pages",
                      s.request->id, tokens, s.computed, pages);
  }
  if (tokens > max_context_tokens) {
    return make_error(ErrorCode::kInternal, "kBounded: request {} has {} tokens in a window of {}",
                      s.request->id, tokens, max_context_tokens);
  }
  return {};
}

}  // namespace

Status check_state(const kv::PagePool& pool, std::span<const std::unique_ptr<Sequence>> sequences,
                   std::span<const std::unique_ptr<ActiveRequest>> requests,
                   const EngineLimits& limits, int32_t page_tokens, int32_t max_context_tokens) {
  if (auto ok = pool.check(); !ok.ok()) return ok.error().with_context("kPagesConserved");
  std::vector<int32_t> owners(static_cast<size_t>(pool.total_pages()), 0);
  int32_t running = 0;
  for (const auto& s : sequences) {
    WEIR_TRY(check_sequence(*s, page_tokens, max_context_tokens));
    running += s->pages.empty() ? 0 : 1;
    for (const kv::PageId page : s->pages) {
      ++owners[static_cast<size_t>(page)];
    }
    if (const auto own = static_cast<size_t>(s->computed / page_tokens); own < s->pages.size()) {
      if (pool.references(s->pages[own]) != 1)
        return make_error(ErrorCode::kInternal, "kPagesConserved: request {} writes a shared page",
                          s->request->id);
    }
  }
  for (kv::PageId page = 0; page < pool.total_pages(); ++page) {
    const int32_t counted = owners[static_cast<size_t>(page)] + (pool.cached(page) ? 1 : 0);
    if (pool.references(page) != counted) {
      return make_error(ErrorCode::kInternal,
                        "kPagesConserved: page {} has {} references and {} owners", page,
                        pool.references(page), counted);
    }
  }
  if (running > limits.max_running) {
    return make_error(ErrorCode::kInternal, "kBounded: {} sequences run, max_running is {}",
                      running, limits.max_running);
  }
  for (const auto& r : requests) {
    if (r->unfinished_choices < 1)
      return make_error(ErrorCode::kInternal, "kNothingRemains: request {} is finished", r->id);
    if (!r->events.empty())
      return make_error(ErrorCode::kInternal, "kStepCommitted: request {} has undelivered events",
                        r->id);
  }
  return {};
}

}  // namespace weir::engine
