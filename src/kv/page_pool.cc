#include "kv/page_pool.h"

#include <cassert>

namespace weir::kv {

PagePool::PagePool(int32_t pages)
    : references_(static_cast<size_t>(pages), 0), cached_(references_.size(), false) {
  free_.reserve(references_.size());
  for (PageId page = pages - 1; page >= 0; --page) free_.push_back(page);
}

bool PagePool::allocate(int32_t count, std::vector<PageId>& pages) {
  if (count > free_pages()) return false;
  for (int32_t i = 0; i < count; ++i) {
    const PageId page = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(page)] = 1;
    pages.push_back(page);
  }
  return true;
}

void PagePool::reference(PageId page) {
  assert(references(page) > 0);
  if (idle(page)) --idle_pages_;
  ++references_[static_cast<size_t>(page)];
}

void PagePool::release(PageId page) {
  assert(references(page) > (cached(page) ? 1 : 0));
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  if (idle(page)) ++idle_pages_;
}

void PagePool::release_all(std::vector<PageId>& pages) {
  for (const PageId page : pages) release(page);
  pages.clear();
}

void PagePool::set_cached(PageId page, bool cached) {
  assert(references(page) > 0 && this->cached(page) != cached);
  const int32_t change = cached ? 1 : -1;
  cached_[static_cast<size_t>(page)] = cached;
  cached_pages_ += change;
  if (references(page) == 1) idle_pages_ += change;
}

Status PagePool::check() const {
  std::vector<bool> is_free(references_.size(), false);
  for (const PageId page : free_) {
    if (is_free[static_cast<size_t>(page)])
      return make_error(ErrorCode::kInternal, "page {} is free twice", page);
    is_free[static_cast<size_t>(page)] = true;
  }
  int32_t cached = 0;
  int32_t idle = 0;
  for (size_t i = 0; i < references_.size(); ++i) {
    cached += cached_[i] ? 1 : 0;
    idle += this->idle(static_cast<PageId>(i)) ? 1 : 0;
    if (references_[i] < 0 || is_free[i] != (references_[i] == 0)) {
      return make_error(ErrorCode::kInternal, "page {} has {} references and {} free", i,
                        references_[i], is_free[i] ? "is" : "is not");
    }
  }
  if (cached != cached_pages_ || idle != idle_pages_) {
    return make_error(ErrorCode::kInternal,
                      "{} pages are cached and {} of them idle, counted as {} and {}", cached, idle,
                      cached_pages_, idle_pages_);
  }
  return {};
}

}  // namespace weir::kv
