// A hash table from keys that stand elsewhere to their 32-bit numbers: open addressing with linear
// probing, 8 bytes a slot, at most three quarters full, and no marks left behind by what is erased.
// Internal to gateway/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::gateway {

// One thread. Hashes must be well mixed in all 64 bits.
class IdTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Bytes for each entry when it is as empty as it gets: just doubled.
  static constexpr size_t kMaxBytesPerEntry = 24;

  // The id with that hash for which same(id) holds, or kNone.
  template <typename Same>
  uint32_t find(uint64_t hash, Same&& same) const {
    if (slots_.empty()) return kNone;
    for (size_t i = home(tag_of(hash));; i = (i + 1) & mask_) {
      const Slot& s = slots_[i];
      if (s.id == kNone) return kNone;
      if (s.tag == tag_of(hash) && same(s.id)) return s.id;
    }
  }

  // Begins to load what find() of that hash will read.
  void prefetch(uint64_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[home(tag_of(hash))]);
  }

  // What find() will probably return, without looking at any key.
  uint32_t guess(uint64_t hash) const {
    if (slots_.empty()) return kNone;
    size_t i = home(tag_of(hash));
    while (slots_[i].id != kNone && slots_[i].tag != tag_of(hash)) i = (i + 1) & mask_;
    return slots_[i].id;
  }

  // Precondition: the key is not in the table.
  void insert(uint64_t hash, uint32_t id) {
    if ((used_ + 1) * 4 > slots_.size() * 3) grow();
    place({tag_of(hash), id});
    ++used_;
  }

  // Precondition: the table holds that id under that hash.
  void erase(uint64_t hash, uint32_t id) {
    size_t hole = home(tag_of(hash));
    while (slots_[hole].id != id) hole = (hole + 1) & mask_;
    // What follows moves up unless it would come to stand before its home.
    for (size_t i = (hole + 1) & mask_; slots_[i].id != kNone; i = (i + 1) & mask_) {
      if (((i - home(slots_[i].tag)) & mask_) >= ((i - hole) & mask_)) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole] = {};
    --used_;
  }

  size_t size() const { return used_; }
  size_t bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t id = kNone;
  };
  static constexpr size_t kFirstSlots = 64;

  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash ^ (hash >> 32)); }
  size_t home(uint32_t tag) const { return tag & mask_; }

  void place(Slot slot) {
    size_t i = home(slot.tag);
    while (slots_[i].id != kNone) i = (i + 1) & mask_;
    slots_[i] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? kFirstSlots : slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& s : old) {
      if (s.id != kNone) place(s);
    }
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  size_t used_ = 0;
};

}  // namespace weir::gateway
