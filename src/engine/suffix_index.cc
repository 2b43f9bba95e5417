#include "engine/suffix_index.h"

#include <algorithm>
#include <utility>

namespace weir::engine {
namespace {
constexpr size_t kFirstSlots = 64;
}

void EdgeTable::clear() {
  slots_.assign(kFirstSlots, Slot{});
  used_ = 0;
}

// The slot of the key, or the empty one where it would go. Mixes as MurmurHash3's finalizer does.
size_t EdgeTable::slot(int32_t node, int32_t token) const {
  uint64_t h = (uint64_t{static_cast<uint32_t>(node)} << 32) | static_cast<uint32_t>(token);
  h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDULL;
  h ^= h >> 33;
  const size_t mask = slots_.size() - 1;
  size_t i = static_cast<size_t>(h) & mask;
  while (slots_[i].node >= 0 && (slots_[i].node != node || slots_[i].token != token))
    i = (i + 1) & mask;
  return i;
}

int32_t EdgeTable::find(int32_t node, int32_t token) const {
  const Slot& s = slots_[slot(node, token)];
  return s.node < 0 ? kNone : s.child;
}

void EdgeTable::set(int32_t node, int32_t token, int32_t child) {
  Slot& s = slots_[slot(node, token)];
  const bool fresh = s.node < 0;
  s = {node, token, child};
  if (fresh && ++used_ * 4 > slots_.size() * 3) grow();
}

void EdgeTable::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  for (const Slot& s : old) {
    if (s.node >= 0) slots_[slot(s.node, s.token)] = s;
  }
}

void SuffixIndex::clear() {
  text_.clear();
  nodes_.assign(1, Node{});
  edges_.clear();
  active_node_ = active_edge_ = active_length_ = remainder_ = 0;
}

int32_t SuffixIndex::push(int32_t token) {
  int32_t forgotten = 0;
  if (std::cmp_greater_equal(text_.size(), max_tokens_)) {
    forgotten = max_tokens_ - max_tokens_ / 2;
    const std::vector<int32_t> kept(text_.begin() + forgotten, text_.end());
    clear();
    for (const int32_t t : kept) extend(t);
  }
  extend(token);
  return forgotten;
}

bool SuffixIndex::walk_down(int32_t child) {
  if (child < 0) return false;  // a leaf's edge reaches the end of the text
  Node& node = nodes_[static_cast<size_t>(child)];
  const int32_t length = node.end - node.start;
  if (active_length_ < length) return false;
  active_edge_ += length;
  active_length_ -= length;
  active_node_ = child;
  // The text has just come by here: from now on the node stands for this occurrence.
  node.start = active_edge_ - length;
  node.end = active_edge_;
  return true;
}

// Puts a node into the edge to `child`, active_length_ tokens down.
int32_t SuffixIndex::split(int32_t child) {
  const int32_t start = edge_start(child);
  const int32_t middle = start + active_length_;
  const auto node = static_cast<int32_t>(nodes_.size());
  nodes_.push_back({start, middle, 0});
  edges_.set(active_node_, at(active_edge_), node);
  if (child < 0) {
    child = ~middle;
  } else {
    nodes_[static_cast<size_t>(child)].start = middle;
  }
  edges_.set(node, at(middle), child);
  return node;
}

void SuffixIndex::extend(int32_t token) {
  text_.push_back(token);
  const auto last = static_cast<int32_t>(text_.size()) - 1;
  ++remainder_;
  int32_t unlinked = 0;  // the node made last, which still needs its link
  const auto link_to = [&](int32_t node) {
    if (unlinked != 0) nodes_[static_cast<size_t>(unlinked)].link = node;
    unlinked = 0;
  };
  while (remainder_ > 0) {
    if (active_length_ == 0) active_edge_ = last;
    const int32_t child = edges_.find(active_node_, at(active_edge_));
    if (child == EdgeTable::kNone) {
      edges_.set(active_node_, token, ~last);
      link_to(active_node_);
    } else {
      if (walk_down(child)) continue;
      if (at(edge_start(child) + active_length_) == token) {
        ++active_length_;
        link_to(active_node_);
        break;
      }
      const int32_t node = split(child);
      edges_.set(node, token, ~last);
      link_to(node);
      unlinked = node;
    }
    --remainder_;
    if (active_node_ != 0) {
      active_node_ = nodes_[static_cast<size_t>(active_node_)].link;
    } else if (active_length_ > 0) {
      --active_length_;
      active_edge_ = last - remainder_ + 1;
    }
  }
}

SuffixIndex::Match SuffixIndex::match() const {
  if (remainder_ == 0) return {};
  if (active_length_ == 0) return {remainder_, nodes_[static_cast<size_t>(active_node_)].end};
  const int32_t child = edges_.find(active_node_, at(active_edge_));
  return {remainder_, edge_start(child) + active_length_};
}

size_t SuffixIndex::bytes() const {
  return text_.capacity() * sizeof(int32_t) + nodes_.capacity() * sizeof(Node) + edges_.bytes();
}

}  // namespace weir::engine
