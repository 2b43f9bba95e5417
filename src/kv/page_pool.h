// Which pages of the KV cache are free and how often each used one is referenced. Ids only; the
// bytes are KvStorage. Invariant "no page is lost": free_pages() + used_pages() == total_pages()
// after every call. The prefix tree marks the pages it owns as cached: one that nobody else
// references is idle and can be evicted. One thread at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace weir::kv {

using PageId = int32_t;

// Pages that hold so many tokens.
constexpr int32_t pages_for(int32_t tokens, int32_t page_tokens) {
  return (tokens + page_tokens - 1) / page_tokens;
}

class PagePool {
 public:
  explicit PagePool(int32_t pages);

  int32_t total_pages() const { return static_cast<int32_t>(references_.size()); }
  int32_t free_pages() const { return static_cast<int32_t>(free_.size()); }
  int32_t used_pages() const { return total_pages() - free_pages(); }
  int32_t references(PageId page) const { return references_[static_cast<size_t>(page)]; }

  // Appends `count` pages with one reference each, all or none. False: not enough are free.
  [[nodiscard]] bool allocate(int32_t count, std::vector<PageId>& pages);
  // One more owner. Precondition: the page is in use.
  void reference(PageId page);
  // One owner less; the last one frees the page. Precondition: the page is in use.
  void release(PageId page);
  void release_all(std::vector<PageId>& pages);  // and clears the list

  // One of the owners is the prefix tree, from now on or no more. Precondition: the page is in use
  // and was not so before.
  void set_cached(PageId page, bool cached);
  bool cached(PageId page) const { return cached_[static_cast<size_t>(page)]; }
  bool idle(PageId page) const { return cached(page) && references(page) == 1; }
  int32_t cached_pages() const { return cached_pages_; }
  int32_t idle_pages() const { return idle_pages_; }
  // What allocate() can give when idle pages are evicted first.
  int32_t available_pages() const { return free_pages() + idle_pages_; }

  // Counts everything anew. Error: kInternal naming the page that does not add up.
  Status check() const;

 private:
  std::vector<PageId> free_;  // a stack: the page freed last is the warmest
  std::vector<int32_t> references_;
  std::vector<bool> cached_;
  int32_t cached_pages_ = 0;
  int32_t idle_pages_ = 0;
};

}  // namespace weir::kv
