// A hash table from pieces of text to small integers, read far more often than written. The strings
// are borrowed: they must outlive the map. Any thread may read.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace weir::text {

class PieceMap {
 public:
  static constexpr int32_t kNone = -1;

  // Room for `expected` pieces without growing; more are accepted.
  explicit PieceMap(size_t expected = 0) { resize(expected); }

  // The value of `piece`, or kNone.
  int32_t find(std::string_view piece) const {
    if (piece.size() > longest_) return kNone;
    for (size_t slot = hash(piece) & mask_;; slot = (slot + 1) & mask_) {
      if (slots_[slot].value == kNone) return kNone;
      if (slots_[slot].piece == piece) return slots_[slot].value;
    }
  }

  // Adds a piece; false, and no change, when it is there already. Precondition: value >= 0.
  bool insert(std::string_view piece, int32_t value) {
    if (2 * (size_ + 1) > slots_.size()) resize(slots_.size());
    size_t slot = hash(piece) & mask_;
    for (; slots_[slot].value != kNone; slot = (slot + 1) & mask_) {
      if (slots_[slot].piece == piece) return false;
    }
    slots_[slot] = {piece, value};
    ++size_;
    if (piece.size() > longest_) longest_ = piece.size();
    return true;
  }

  size_t size() const { return size_; }
  size_t longest() const { return longest_; }  // bytes

 private:
  struct Slot {
    std::string_view piece;
    int32_t value = kNone;
  };

  static size_t hash(std::string_view piece) { return std::hash<std::string_view>()(piece); }

  // Slots for `pieces` at a load of one half at most.
  void resize(size_t pieces) {
    size_t count = 16;
    while (count < 2 * pieces) count *= 2;
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(count, Slot{});
    mask_ = count - 1;
    for (const Slot& s : old) {
      if (s.value == kNone) continue;
      size_t slot = hash(s.piece) & mask_;
      while (slots_[slot].value != kNone) slot = (slot + 1) & mask_;
      slots_[slot] = s;
    }
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  size_t size_ = 0;
  size_t longest_ = 0;
};

}  // namespace weir::text
