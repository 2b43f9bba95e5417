#include "kv/prefix_tree.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace weir::kv {
namespace {

// Behind this many tokens a token costs twice as much to compute as the first: attention has grown
// to the size of the matrices (SmolLM2-135M: 270 MFLOP a token in matrices, 69 kFLOP a key).
constexpr double kCostDoublesTokens = 4096;
// Uses beyond this do not count: a page used a thousand times an hour ago must age within some
// evictions, not a thousand.
constexpr int kMaxUses = 16;

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

bool begins_with(std::span<const int32_t> text, std::span<const int32_t> start) {
  return start.size() <= text.size() && common_prefix(text, start) == start.size();
}

}  // namespace

size_t PrefixTree::lower_bound(const Node& parent, std::span<const int32_t> tokens) const {
  const auto less = [this](NodeId child, std::span<const int32_t> wanted) {
    const std::vector<int32_t>& t = at(child).tokens;
    return std::lexicographical_compare(t.begin(), t.end(), wanted.begin(), wanted.end());
  };
  const auto it = std::lower_bound(parent.children.begin(), parent.children.end(), tokens, less);
  return static_cast<size_t>(it - parent.children.begin());
}

NodeId PrefixTree::find_root(const Hash128& root) const {
  const auto it = roots_.find(root);
  return it == roots_.end() ? kNoNode : it->second;
}

PrefixMatch PrefixTree::find(const Hash128& root, std::span<const int32_t> tokens) const {
  PrefixMatch match;
  NodeId node = find_root(root);
  while (node != kNoNode && !tokens.empty()) {
    const auto wanted = tokens.first(std::min(tokens.size(), static_cast<size_t>(page_tokens_)));
    const std::vector<NodeId>& children = at(node).children;
    const size_t where = lower_bound(at(node), wanted);
    NodeId best = kNoNode;
    size_t common = 0;
    for (size_t i = where + 1; i-- > (where > 0 ? where - 1 : 0);) {
      if (i >= children.size()) continue;
      const size_t n = common_prefix(at(children[i]).tokens, wanted);
      if (n > common) {
        common = n;
        best = children[i];
      }
    }
    if (best == kNoNode) break;
    match.tokens += static_cast<int32_t>(common);
    if (common < static_cast<size_t>(page_tokens_)) {
      match.copy_from = best;
      break;
    }
    match.nodes.push_back(best);
    tokens = tokens.subspan(common);
    node = best;
  }
  return match;
}

void PrefixTree::use(NodeId id, int uses, int64_t now_ns) {
  Node& node = at(id);
  const bool leaf = node.children.empty();
  if (leaf) leaves_.erase(leaf_key(id));
  node.uses = std::min(node.uses + uses, kMaxUses);
  node.last_used_ns = now_ns;
  const double position = static_cast<double>(node.depth) * page_tokens_;
  node.value = age_ + node.uses * (1.0 + position / kCostDoublesTokens);
  if (leaf) leaves_.insert(leaf_key(id));
}

void PrefixTree::touch(const PrefixMatch& match, int64_t now_ns) {
  for (const NodeId node : match.nodes) use(node, 1, now_ns);
  if (match.copy_from != kNoNode) use(match.copy_from, 1, now_ns);
}

PrefixCursor PrefixTree::cursor(const PrefixMatch& match) const {
  if (match.nodes.empty()) return start();
  return {match.nodes.back(), static_cast<int32_t>(match.nodes.size()), epoch_};
}

NodeId PrefixTree::new_node(NodeId parent) {
  NodeId id = kNoNode;
  if (unused_.empty()) {
    id = static_cast<NodeId>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = unused_.back();
    unused_.pop_back();
    at(id) = Node();
  }
  at(id).alive = true;
  at(id).parent = parent;
  at(id).depth = parent == kNoNode ? 0 : at(parent).depth + 1;
  return id;
}

Hash128 PrefixTree::page_hash(const Hash128& parent, std::span<const int32_t> tokens) const {
  std::vector<std::byte> bytes(16 + tokens.size_bytes());
  const auto head = parent.bytes();
  std::copy(head.begin(), head.end(), bytes.begin());
  const auto tail = std::as_bytes(tokens);
  std::copy(tail.begin(), tail.end(), bytes.begin() + 16);
  return keyed_hash(key_, bytes);
}

// Gives a node its tokens, more than it had, and its page; the tree becomes an owner of it.
void PrefixTree::set_page(NodeId id, std::span<const int32_t> tokens, PageId page) {
  Node& node = at(id);
  if (node.page >= 0) {
    pool_.set_cached(node.page, false);
    pool_.release(node.page);
  } else {
    ++pages_;
  }
  pool_.reference(page);
  pool_.set_cached(page, true);
  ++changes_;
  node.page = page;
  node.tokens.assign(tokens.begin(), tokens.end());
  if (!full(node)) return;
  node.hash = page_hash(at(node.parent).hash, tokens);
  if (observer_ != nullptr) observer_->on_stored(describe(id));
}

NodeId PrefixTree::child_for(NodeId parent, std::span<const int32_t> tokens, PageId page,
                             int64_t now_ns) {
  const size_t where = lower_bound(at(parent), tokens);
  const std::vector<NodeId>& children = at(parent).children;
  if (where < children.size() && begins_with(at(children[where]).tokens, tokens))
    return children[where];
  if (where > 0 && begins_with(tokens, at(children[where - 1]).tokens)) {
    const NodeId grown = children[where - 1];  // a shorter end of a text: this goes further
    set_page(grown, tokens, page);
    use(grown, 0, now_ns);
    return grown;
  }
  if (children.empty()) leaves_.erase(leaf_key(parent));
  const NodeId child = new_node(parent);
  std::vector<NodeId>& siblings = at(parent).children;  // new_node may have moved the nodes
  siblings.insert(siblings.begin() + static_cast<ptrdiff_t>(where), child);
  set_page(child, tokens, page);
  use(child, 1, now_ns);
  return child;
}

// The node behind which a cursor's next page goes; a root is made on first use.
NodeId PrefixTree::parent_of(const Hash128& root, const PrefixCursor& cursor) {
  if (cursor.pages > 0) return cursor.node;
  NodeId node = find_root(root);
  if (node == kNoNode) {
    node = new_node(kNoNode);
    at(node).hash = root;
    roots_.emplace(root, node);
  }
  return node;
}

void PrefixTree::insert(const Hash128& root, std::span<const int32_t> tokens,
                        std::span<PageId> pages, PrefixCursor& cursor, int64_t now_ns) {
  if (cursor.epoch != epoch_) return;
  const auto size = static_cast<size_t>(page_tokens_);
  for (size_t i = static_cast<size_t>(cursor.pages); (i + 1) * size <= tokens.size(); ++i) {
    const NodeId child =
        child_for(parent_of(root, cursor), tokens.subspan(i * size, size), pages[i], now_ns);
    const PageId theirs = at(child).page;
    if (theirs != pages[i]) {
      pool_.reference(theirs);
      pool_.release(pages[i]);
      pages[i] = theirs;
    }
    cursor = {child, static_cast<int32_t>(i) + 1, epoch_};
  }
}

void PrefixTree::insert_all(const Hash128& root, std::span<const int32_t> tokens,
                            std::span<PageId> pages, PrefixCursor& cursor, int64_t now_ns) {
  insert(root, tokens, pages, cursor, now_ns);
  const auto size = static_cast<size_t>(page_tokens_);
  if (cursor.epoch != epoch_ || tokens.size() % size == 0) return;
  const size_t last = tokens.size() / size;
  child_for(parent_of(root, cursor), tokens.subspan(last * size), pages[last], now_ns);
}

NodeId PrefixTree::adopt(const Hash128& root, NodeId parent, std::span<const int32_t> tokens,
                         PageId page, int64_t now_ns) {
  if (parent == kNoNode) parent = parent_of(root, start());
  const NodeId child = child_for(parent, tokens, page, now_ns);
  if (at(child).page != page) return kNoNode;
  pool_.release(page);  // the caller's reference became the tree's
  return child;
}

void PrefixTree::remove_leaf(NodeId id) {
  Node& node = at(id);
  leaves_.erase(leaf_key(id));
  pool_.set_cached(node.page, false);
  pool_.release(node.page);
  --pages_;
  ++changes_;
  const NodeId parent = node.parent;
  std::vector<NodeId>& siblings = at(parent).children;
  siblings.erase(siblings.begin() + static_cast<ptrdiff_t>(lower_bound(at(parent), node.tokens)));
  node = Node();
  unused_.push_back(id);
  if (!siblings.empty()) return;
  if (at(parent).page >= 0) {
    leaves_.insert(leaf_key(parent));
    return;
  }
  roots_.erase(at(parent).hash);
  at(parent) = Node();
  unused_.push_back(parent);
}

bool PrefixTree::evict_one() {
  for (const LeafKey& key : leaves_) {
    const NodeId id = std::get<NodeId>(key);
    if (!pool_.idle(at(id).page)) continue;
    age_ = std::max(age_, at(id).value);
    if (observer_ != nullptr && full(at(id))) observer_->on_evicted(describe(id));
    remove_leaf(id);
    ++evictions_;
    return true;
  }
  return false;
}

void PrefixTree::clear() {
  for (const Node& node : nodes_) {
    if (node.page < 0) continue;
    pool_.set_cached(node.page, false);
    pool_.release(node.page);
  }
  nodes_.clear();
  unused_.clear();
  roots_.clear();
  leaves_.clear();
  pages_ = 0;
  age_ = 0;
  ++epoch_;
  ++changes_;
  if (observer_ != nullptr) observer_->on_cleared();
}

bool PrefixTree::has_full(NodeId node) const {
  return node >= 0 && static_cast<size_t>(node) < nodes_.size() && at(node).page >= 0 &&
         full(at(node));
}

Hash128 PrefixTree::root_of(NodeId id) const {
  while (at(id).parent != kNoNode) id = at(id).parent;
  return at(id).hash;
}

CachedPage PrefixTree::describe(NodeId id) const {
  const Node& node = at(id);
  return {
      root_of(id), at(node.parent).hash, node.hash, node.tokens, (node.depth - 1) * page_tokens_,
      node.page};
}

std::vector<NodeId> PrefixTree::full_nodes() const {
  std::vector<NodeId> order;
  for (const auto& [hash, root] : roots_) order.push_back(root);
  for (size_t i = 0; i < order.size(); ++i) {
    for (const NodeId child : at(order[i]).children) {
      if (full(at(child))) order.push_back(child);
    }
  }
  order.erase(order.begin(), order.begin() + static_cast<ptrdiff_t>(roots_.size()));
  return order;
}

}  // namespace weir::kv
