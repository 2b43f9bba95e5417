// PrefixTree::check: the tree's invariants, counted anew.
#include <algorithm>

#include "kv/prefix_tree.h"

namespace weir::kv {

Status PrefixTree::check_node(NodeId id) const {
  const Node& node = at(id);
  const auto bad = [id](const char* what) {
    return make_error(ErrorCode::kInternal, "prefix tree: node {} {}", id, what);
  };
  if (node.parent == kNoNode) {
    if (node.children.empty()) return bad("is a root without pages");
  } else {
    const Node& parent = at(node.parent);
    if (!parent.alive || std::count(parent.children.begin(), parent.children.end(), id) != 1)
      return bad("is no child of its parent");
    if (node.tokens.empty() || node.depth != parent.depth + 1) return bad("has a wrong place");
    if (!full(node) && !node.children.empty()) return bad("has children behind half a page");
    if (!pool_.cached(node.page) || pool_.references(node.page) < 1)
      return bad("does not own its page");
    if (parent.page >= 0 && !pool_.idle(node.page) && pool_.idle(parent.page))
      return bad("is in use and its parent is not");
    if (leaves_.contains(leaf_key(id)) != node.children.empty())
      return bad("is a leaf that cannot be evicted, or can be and is none");
    if (full(node) && node.hash != page_hash(parent.hash, node.tokens))
      return bad("has a wrong hash");
  }
  for (size_t i = 1; i < node.children.size(); ++i) {
    const std::vector<int32_t>& a = at(node.children[i - 1]).tokens;
    const std::vector<int32_t>& b = at(node.children[i]).tokens;
    if (!(a < b)) return bad("has children out of order");
    if (a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin()))
      return bad("has a child that begins another");
  }
  return {};
}

Status PrefixTree::check() const {
  int32_t pages = 0;
  size_t leaves = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i].alive) continue;
    WEIR_TRY(check_node(static_cast<NodeId>(i)));
    pages += nodes_[i].page >= 0 ? 1 : 0;
    leaves += nodes_[i].children.empty() ? 1 : 0;
  }
  if (pages != pages_ || pages != pool_.cached_pages() || leaves != leaves_.size()) {
    return make_error(ErrorCode::kInternal,
                      "prefix tree: {} pages, counted as {}, cached as {}; {} leaves of {}", pages,
                      pages_, pool_.cached_pages(), leaves_.size(), leaves);
  }
  return {};
}

}  // namespace weir::kv
