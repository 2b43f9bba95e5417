#include "kv/page_pool.h"

#include <cassert>

namespace weir::kv {

PagePool::PagePool(int32_t pages) : references_(static_cast<size_t>(pages), 0) {
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
  ++references_[static_cast<size_t>(page)];
}

void PagePool::release(PageId page) {
  assert(references(page) > 0);
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

void PagePool::release_all(std::vector<PageId>& pages) {
  for (const PageId page : pages) release(page);
  pages.clear();
}

Status PagePool::check() const {
  std::vector<bool> is_free(references_.size(), false);
  for (const PageId page : free_) {
    if (is_free[static_cast<size_t>(page)])
      return make_error(ErrorCode::kInternal, "page {} is free twice", page);
    is_free[static_cast<size_t>(page)] = true;
  }
  for (size_t i = 0; i < references_.size(); ++i) {
    if (references_[i] < 0 || is_free[i] != (references_[i] == 0)) {
      return make_error(ErrorCode::kInternal, "page {} has {} references and {} free", i,
                        references_[i], is_free[i] ? "is" : "is not");
    }
  }
  return {};
}

}  // namespace weir::kv
