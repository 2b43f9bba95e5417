// Greedy merging of adjacent symbols, best pair first: the common core of byte-pair and score
// merging. O(n log n) in the symbols of a word. One thread per Merger; reuse it to spare
// allocations.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace weir::text {

// What two neighbours merge into. The lowest priority goes first; of equals, the leftmost.
struct Merge {
  static constexpr uint32_t kNever = UINT32_MAX;
  uint32_t priority = kNever;
  int32_t symbol = -1;
};

class Merger {
 public:
  struct Symbol {
    int32_t symbol;
    uint32_t begin, end;  // its bytes in the word
  };

  std::vector<Symbol>& symbols() { return symbols_; }

  // Replaces symbols() by what they merge into. lookup(left, right) -> Merge must be a pure
  // function. Precondition: at most 2^31 symbols.
  template <typename Lookup>
  void merge(const Lookup& lookup) {
    if (symbols_.size() < 2) return;
    if (symbols_.size() <= kShortWord) {
      merge_short(lookup);
    } else {
      merge_long(lookup);
    }
  }

 private:
  // Up to here a scan for the best pair beats the heap: wikitext (1.3 MB) takes 72 to 94 ms with 16
  // to 64, and 89 to 119 ms with the heap alone (gpt-2, qwen2, llama-spm vocabularies).
  static constexpr size_t kShortWord = 32;

  template <typename Lookup>
  void merge_short(const Lookup& lookup) {
    Merge best[kShortWord];
    size_t n = symbols_.size();
    for (size_t i = 0; i + 1 < n; ++i) best[i] = lookup(symbols_[i], symbols_[i + 1]);
    while (n > 1) {
      size_t at = 0;
      for (size_t i = 1; i + 1 < n; ++i) {
        if (best[i].priority < best[at].priority) at = i;
      }
      if (best[at].priority == Merge::kNever) break;
      symbols_[at].symbol = best[at].symbol;
      symbols_[at].end = symbols_[at + 1].end;
      symbols_.erase(symbols_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
      --n;
      for (size_t i = at + 1; i + 1 < n; ++i) best[i] = best[i + 1];
      if (at > 0) best[at - 1] = lookup(symbols_[at - 1], symbols_[at]);
      if (at + 1 < n) best[at] = lookup(symbols_[at], symbols_[at + 1]);
    }
  }

  // A linked list over the symbols, the pairs of the start sorted by (priority, position), and a
  // heap of the pairs that merging makes: together a priority queue. (All pairs in one heap
  // took 1.5 to 2.2 times as long on 1 MB of random letters.) An entry is stale when the pair that
  // now starts at its position has another priority; the same priority again is the same merge.
  template <typename Lookup>
  void merge_long(const Lookup& lookup) {
    const auto n = static_cast<uint32_t>(symbols_.size());
    links_.resize(n);
    heap_.clear();
    sorted_.clear();
    const auto look = [&](uint32_t i) {
      Link& l = links_[i];
      l.merge = l.next == n ? Merge{} : lookup(symbols_[i], symbols_[l.next]);
      return l.merge.priority != Merge::kNever;
    };
    const auto entry = [&](uint32_t i) { return uint64_t{links_[i].merge.priority} << 32 | i; };
    const auto push = [&](uint32_t i) {
      if (!look(i)) return;
      heap_.push_back(entry(i));
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    };
    for (uint32_t i = 0; i < n; ++i) links_[i] = {{}, i - 1, i + 1};
    for (uint32_t i = 0; i < n; ++i) {
      if (look(i)) sorted_.push_back(entry(i));
    }
    std::sort(sorted_.begin(), sorted_.end());
    for (size_t first = 0; first < sorted_.size() || !heap_.empty();) {
      uint64_t top;
      if (heap_.empty() || (first < sorted_.size() && sorted_[first] < heap_.front())) {
        top = sorted_[first++];
      } else {
        top = heap_.front();
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
        heap_.pop_back();
      }
      const auto i = static_cast<uint32_t>(top);
      Link& link = links_[i];
      if (link.merge.priority != static_cast<uint32_t>(top >> 32)) continue;
      const uint32_t right = link.next;
      symbols_[i].symbol = link.merge.symbol;
      symbols_[i].end = symbols_[right].end;
      links_[right].merge = Merge{};
      link.next = links_[right].next;
      if (link.next != n) links_[link.next].previous = i;
      push(i);
      if (i > 0) push(link.previous);
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < n; i = links_[i].next) symbols_[kept++] = symbols_[i];
    symbols_.resize(kept);
  }

  struct Link {
    Merge merge;  // of this symbol and the next; kNever for the last and for symbols merged away
    uint32_t previous, next;
  };
  std::vector<Symbol> symbols_;
  std::vector<Link> links_;
  std::vector<uint64_t> sorted_, heap_;
};

}  // namespace weir::text
