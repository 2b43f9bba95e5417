// Pieces of text in little memory: a list of them, and a hash table from pieces to small integers,
// read far more often than written. Any thread may read.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// Strings side by side, numbered from 0.
class PieceList {
 public:
  void reserve(size_t pieces, size_t bytes) {
    ends_.reserve(pieces);
    bytes_.reserve(bytes);
  }
  size_t size() const { return ends_.size(); }
  // Precondition: i < size(). Valid until the next change.
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }
  void push_back(std::string_view piece) {
    bytes_.append(piece);
    finish();
  }
  // A piece written in place: text appended to open() becomes one with finish().
  std::string& open() { return bytes_; }
  void finish() { ends_.push_back(bytes_.size()); }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

// The map keeps values and hashes, no text: whoever calls says what the piece of a value is, by a
// function text_of(value) that always says the same.
class PieceMap {
 public:
  static constexpr int32_t kNone = -1;

  // Room for `expected` pieces without growing; more are accepted.
  explicit PieceMap(size_t expected = 0) { resize(expected); }

  // The value of `piece`, or kNone.
  template <typename TextOf>
  int32_t find(std::string_view piece, const TextOf& text_of) const {
    if (piece.size() > longest_) return kNone;
    return slots_[place(hash(piece), piece, text_of)].value;
  }

  // Adds a piece; false, and no change, when it is there already. Precondition: value >= 0;
  // text_of is asked for earlier values only.
  template <typename TextOf>
  bool insert(std::string_view piece, int32_t value, const TextOf& text_of) {
    if (2 * (size_ + 1) > slots_.size()) resize(slots_.size());
    const uint32_t h = hash(piece);
    Slot& slot = slots_[place(h, piece, text_of)];
    if (slot.value != kNone) return false;
    slot = {h, value};
    ++size_;
    if (piece.size() > longest_) longest_ = piece.size();
    return true;
  }

  size_t size() const { return size_; }
  size_t longest() const { return longest_; }  // bytes

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t value = kNone;
  };

  // Eight bytes a step, each folded in by a multiplication whose halves are added (as wyhash does).
  static uint32_t hash(std::string_view piece) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ piece.size();
    const char* p = piece.data();
    size_t left = piece.size();
    for (; left > 8; left -= 8, p += 8) h = mix(h ^ load(p, 8));
    return static_cast<uint32_t>(mix(h ^ load(p, left)) >> 32);
  }
  // n <= 8 bytes.
  static uint64_t load(const char* p, size_t n) {
    uint64_t v = 0;
    if (n == 8) {
      std::memcpy(&v, p, 8);
    } else if (n >= 4) {
      uint32_t low;
      uint32_t high;
      std::memcpy(&low, p, 4);
      std::memcpy(&high, p + n - 4, 4);
      v = uint64_t{high} << 32 | low;
    } else if (n > 0) {
      const auto at = [&](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])}; };
      v = at(0) << 16 | at(n / 2) << 8 | at(n - 1);
    }
    return v;
  }
  static uint64_t mix(uint64_t x) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * 0xA0761D6478BD642Fu;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

  // The slot of `piece`, or the free one where it would stand.
  template <typename TextOf>
  size_t place(uint32_t h, std::string_view piece, const TextOf& text_of) const {
    size_t slot = h & mask_;
    while (slots_[slot].value != kNone &&
           (slots_[slot].hash != h || text_of(slots_[slot].value) != piece)) {
      slot = (slot + 1) & mask_;
    }
    return slot;
  }

  // Slots for `pieces` at a load of one half at most.
  void resize(size_t pieces) {
    size_t count = 16;
    while (count < 2 * pieces) count *= 2;
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(count, Slot{});
    mask_ = count - 1;
    for (const Slot& s : old) {
      if (s.value == kNone) continue;
      size_t slot = s.hash & mask_;
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
