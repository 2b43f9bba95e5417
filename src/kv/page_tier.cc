#include "kv/page_tier.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "os/file.h"

namespace weir::kv {
namespace {

constexpr HashKey kSumKey{0x7765697220746965ULL, 0x722073756d303031ULL};  // "weir tier sum001"

Status check_budget(uint64_t budget_bytes, size_t page_bytes) {
  if (budget_bytes >= page_bytes) return {};
  return make_error(ErrorCode::kUsage,
                    "a tier of {} bytes holds no page: one has {} bytes; raise kv.tier_bytes",
                    budget_bytes, page_bytes);
}

}  // namespace

PageTier::PageTier(uint64_t budget_bytes, size_t page_bytes)
    : page_bytes_(page_bytes), slots_(budget_bytes / page_bytes) {}

PageTier::~PageTier() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<PageTier>> PageTier::in_memory(uint64_t budget_bytes, size_t page_bytes) {
  WEIR_TRY(check_budget(budget_bytes, page_bytes));
  return std::unique_ptr<PageTier>(new PageTier(budget_bytes, page_bytes));
}

Result<std::unique_ptr<PageTier>> PageTier::in_file(const std::string& path, uint64_t budget_bytes,
                                                    size_t page_bytes) {
  WEIR_TRY(check_budget(budget_bytes, page_bytes));
  std::unique_ptr<PageTier> tier(new PageTier(budget_bytes, page_bytes));
  tier->fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (tier->fd_ < 0) return os::system_error("create", path, errno);
  if (::unlink(path.c_str()) != 0) return os::system_error("unlink", path, errno);
  return tier;
}

bool PageTier::write(size_t slot, std::span<const std::byte> bytes) {
  if (fd_ < 0) {
    if (memory_.size() <= slot) memory_.resize(slot + 1);
    if (memory_[slot] == nullptr) memory_[slot].reset(new (std::nothrow) std::byte[page_bytes_]);
    if (memory_[slot] == nullptr) return false;
    std::memcpy(memory_[slot].get(), bytes.data(), bytes.size());
    return true;
  }
  auto at = static_cast<off_t>(slot * page_bytes_);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
    at += n;
  }
  return true;
}

bool PageTier::read(size_t slot, std::span<std::byte> bytes) const {
  if (fd_ < 0) {
    std::memcpy(bytes.data(), memory_[slot].get(), bytes.size());
    return true;
  }
  auto at = static_cast<off_t>(slot * page_bytes_);
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
    at += n;
  }
  return true;
}

// A slot that nothing is in, emptied if need be.
size_t PageTier::take_slot() {
  if (free_slots_.empty() && used_slots_ < slots_) return used_slots_++;
  if (free_slots_.empty()) {
    const Hash128 oldest = order_.front();
    drop(oldest);
  }
  const size_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void PageTier::drop(const Hash128& hash) {
  const auto it = entries_.find(hash);
  free_slots_.push_back(it->second.slot);
  order_.erase(it->second.used);
  entries_.erase(it);
}

void PageTier::put(const Hash128& hash, std::span<const int32_t> tokens,
                   std::span<const std::byte> bytes) {
  if (const auto it = entries_.find(hash); it != entries_.end()) {
    order_.splice(order_.end(), order_, it->second.used);
    return;
  }
  const size_t slot = take_slot();
  if (bytes.size() != page_bytes_ || !write(slot, bytes)) {
    free_slots_.push_back(slot);
    return;
  }
  Entry e;
  e.slot = slot;
  e.tokens.assign(tokens.begin(), tokens.end());
  e.sum = keyed_hash(kSumKey, bytes);
  e.used = order_.insert(order_.end(), hash);
  entries_.emplace(hash, std::move(e));
}

bool PageTier::get(const Hash128& hash, std::span<const int32_t> tokens,
                   std::span<std::byte> bytes) {
  const auto it = entries_.find(hash);
  if (it == entries_.end() || bytes.size() != page_bytes_) return false;
  const Entry& e = it->second;
  if (!std::equal(tokens.begin(), tokens.end(), e.tokens.begin(), e.tokens.end())) return false;
  if (!read(e.slot, bytes) || keyed_hash(kSumKey, bytes) != e.sum) {
    ++damaged_;
    drop(hash);
    return false;
  }
  order_.splice(order_.end(), order_, e.used);
  return true;
}

void PageTier::clear() {
  entries_.clear();
  order_.clear();
  free_slots_.clear();
  memory_.clear();
  used_slots_ = 0;
  if (fd_ >= 0) (void)!::ftruncate(fd_, 0);  // gives the disk back; what stays is not found
}

}  // namespace weir::kv
