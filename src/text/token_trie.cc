#include "text/token_trie.h"

namespace weir::text {

TokenTrie::TokenTrie() : nodes_(1) {}

uint32_t TokenTrie::child(uint32_t node, uint8_t byte) const {
  if (node == 0) return roots_[byte];
  uint32_t next = nodes_[node].first_child;
  while (next != 0 && nodes_[next].byte != byte) next = nodes_[next].next_sibling;
  return next;
}

void TokenTrie::insert(std::string_view piece, int32_t id, bool always) {
  uint32_t node = 0;
  for (const char c : piece) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      Node fresh;
      fresh.byte = byte;
      if (node == 0) {
        roots_[byte] = next;
      } else {
        fresh.next_sibling = nodes_[node].first_child;
        nodes_[node].first_child = next;
      }
      nodes_.push_back(fresh);
    }
    node = next;
  }
  nodes_[node].id = id;
  nodes_[node].always = always;
}

TokenTrie::Match TokenTrie::match(std::string_view text, size_t at, size_t control_end) const {
  Match best;
  uint32_t node = roots_[static_cast<uint8_t>(text[at])];
  for (size_t end = at + 1; node != 0; ++end) {
    const Node& n = nodes_[node];
    if (n.id >= 0 && (n.always || end <= control_end)) best = {n.id, end - at};
    if (end == text.size()) break;
    node = child(node, static_cast<uint8_t>(text[end]));
  }
  return best;
}

}  // namespace weir::text
