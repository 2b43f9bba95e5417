// A second place for pages that the prefix tree evicts: in memory or in a file, up to a budget of
// bytes, least recently used first out. Found by the hash that names a page after all that stands
// before it; tokens and a sum over the bytes are checked when it comes back, so a wrong or damaged
// page is a page that is not there. Lives as long as the process: the file has no name. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace weir::kv {

class PageTier {
 public:
  // Errors: kUsage for a budget below one page.
  static Result<std::unique_ptr<PageTier>> in_memory(uint64_t budget_bytes, size_t page_bytes);
  // path: of a file that is made, and unlinked at once. Errors: also kIo, kNotFound.
  static Result<std::unique_ptr<PageTier>> in_file(const std::string& path, uint64_t budget_bytes,
                                                   size_t page_bytes);
  ~PageTier();
  PageTier(const PageTier&) = delete;
  PageTier& operator=(const PageTier&) = delete;

  // Keeps a copy. What cannot be kept (the disk is full) is not there.
  void put(const Hash128& hash, std::span<const int32_t> tokens, std::span<const std::byte> bytes);
  bool has(const Hash128& hash) const { return entries_.contains(hash); }
  // Fills `bytes` with the page. False: it is not there or was damaged; `bytes` are anything then.
  [[nodiscard]] bool get(const Hash128& hash, std::span<const int32_t> tokens,
                         std::span<std::byte> bytes);
  void clear();

  int32_t pages() const { return static_cast<int32_t>(entries_.size()); }
  uint64_t damaged() const { return damaged_; }

 private:
  struct Entry {
    size_t slot = 0;
    std::vector<int32_t> tokens;
    Hash128 sum;
    std::list<Hash128>::iterator used;
  };

  PageTier(uint64_t budget_bytes, size_t page_bytes);
  bool write(size_t slot, std::span<const std::byte> bytes);
  bool read(size_t slot, std::span<std::byte> bytes) const;
  size_t take_slot();
  void drop(const Hash128& hash);

  const size_t page_bytes_;
  size_t slots_;  // within the budget
  int fd_ = -1;   // of the file, or in memory:
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<size_t> free_slots_;
  size_t used_slots_ = 0;  // ever: slots are taken one after the other
  std::map<Hash128, Entry> entries_;
  std::list<Hash128> order_;  // least recently used first
  uint64_t damaged_ = 0;
};

}  // namespace weir::kv
