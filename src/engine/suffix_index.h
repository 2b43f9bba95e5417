// The longest suffix of a growing text that occurred in it before, and what followed there.
//
// A suffix tree built online (Ukkonen, "On-line construction of suffix trees", Algorithmica 1995):
// its active point is that suffix, so a query costs nothing beyond the construction, and unlike a
// suffix automaton it never copies the transitions of a state, which a vocabulary of 100,000 tokens
// makes dear. Labels are moved to the occurrence that was passed last, so the continuation is a
// recent one.
//
// Time: amortized O(1) hash operations a token. Memory: at most kBytesPerToken for each of at most
// max_tokens; when they are reached the older half is forgotten, which costs one construction over
// the newer half. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::engine {

// Open addressing from (node, token) to a child. Grows by doubling at a load of 3/4.
class EdgeTable {
 public:
  static constexpr int32_t kNone = INT32_MIN;

  void clear();
  int32_t find(int32_t node, int32_t token) const;  // kNone: there is none
  void set(int32_t node, int32_t token, int32_t child);
  size_t bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    int32_t node = -1;  // -1: empty
    int32_t token = 0;
    int32_t child = 0;
  };
  size_t slot(int32_t node, int32_t token) const;
  void grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

class SuffixIndex {
 public:
  // 4 of the text; at most one inner node of 12; at most two edges of 12 in a table that is at
  // least 3/8 full: 64. Vectors double, so what they hold may be twice the first two.
  static constexpr size_t kBytesPerToken = 96;

  struct Match {
    int32_t length = 0;    // of the longest suffix that occurred before; 0: none did
    int32_t position = 0;  // in text(): what followed that occurrence; below text().size()
  };

  // max_tokens: at least 2.
  explicit SuffixIndex(int32_t max_tokens) : max_tokens_(max_tokens) { clear(); }

  // Appends a token; negative ones are separators, of which each value should be used once. The
  // result: how many of the oldest tokens were forgotten, by which positions moved down.
  int32_t push(int32_t token);
  void clear();

  std::span<const int32_t> text() const { return text_; }
  Match match() const;
  size_t bytes() const;

 private:
  // An inner node and the edge that leads to it: text_[start, end). A leaf is the complement of the
  // start of its edge, which ends where the text does.
  struct Node {
    int32_t start = 0;
    int32_t end = 0;
    int32_t link = 0;  // of the path without its first token
  };
  void extend(int32_t token);
  // Whether the active point lay beyond the edge to `child` and moved down.
  bool walk_down(int32_t child);
  int32_t split(int32_t child);
  int32_t edge_start(int32_t child) const {
    return child < 0 ? ~child : nodes_[static_cast<size_t>(child)].start;
  }
  int32_t at(int32_t position) const { return text_[static_cast<size_t>(position)]; }

  int32_t max_tokens_;
  std::vector<int32_t> text_;
  std::vector<Node> nodes_;  // the first is the root
  EdgeTable edges_;
  // The active point: text_[active_edge_, + active_length_) below active_node_. The path to that
  // node is what stands before active_edge_ in the text.
  int32_t active_node_ = 0;
  int32_t active_edge_ = 0;
  int32_t active_length_ = 0;
  int32_t remainder_ = 0;  // length of the suffix that the active point stands for
};

}  // namespace weir::engine
