// Which tokens have their keys and values in pages already: a radix tree over token ids in which a
// node is one page. Nodes with all tokens of a page may have children; a node with fewer is a leaf,
// the end of some text. No node's tokens begin a sibling's, so siblings lie in sorted order and the
// longest common prefix is beside where a search ends.
//
// Roots are apart by a keyed hash of whose prompts they are: one root's pages are never found under
// another. The tree is one owner of its pages (PagePool::set_cached) and never writes them; others
// share full pages and copy from pages they agree with in part. A page that somebody else
// references is not evicted, and neither are those before it: whoever uses a node's page uses its
// ancestors'.
//
// Eviction takes the leaf whose loss costs least, after GreedyDual-Size-Frequency (Cherkasova
// 1998): value = age + uses * (cost of computing its tokens again), where age is the value last
// evicted, so that what was often used and is used no more goes in the end. Deterministic. One
// thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "kv/page_pool.h"

namespace weir::kv {

using NodeId = int32_t;
inline constexpr NodeId kNoNode = -1;

// A page of the tree as others are told of it. Only of full pages.
struct CachedPage {
  Hash128 root;
  Hash128 parent;  // hash of the page before; of the first: the root
  Hash128 hash;    // keyed, of parent and tokens: names this page after all that stands before it
  std::span<const int32_t> tokens;
  int32_t position = 0;  // of its first token
  PageId page = 0;
};

// Hears of changes, on the thread that makes them; must not call back into the tree.
class PrefixTreeObserver {
 public:
  virtual ~PrefixTreeObserver() = default;
  virtual void on_stored(const CachedPage& page) = 0;
  virtual void on_evicted(const CachedPage& page) = 0;  // its bytes are still there
  virtual void on_cleared() = 0;
};

struct PrefixMatch {
  int32_t tokens = 0;          // found
  std::vector<NodeId> nodes;   // of the full pages among them, from the first
  NodeId copy_from = kNoNode;  // agrees in tokens % page_tokens tokens with what comes next
};

// How far a sequence's pages are in the tree. Good while the sequence references them.
struct PrefixCursor {
  NodeId node = kNoNode;  // of the last of them
  int32_t pages = 0;
  uint64_t epoch = 0;
};

class PrefixTree {
 public:
  // pool: borrowed.
  PrefixTree(PagePool& pool, int32_t page_tokens, const HashKey& key)
      : pool_(pool), page_tokens_(page_tokens), key_(key) {}

  // nullptr: nobody. Borrowed.
  void observe(PrefixTreeObserver* observer) { observer_ = observer; }

  // The longest prefix of `tokens` that is there.
  PrefixMatch find(const Hash128& root, std::span<const int32_t> tokens) const;
  // Counts a use of what was found, at `now_ns`.
  void touch(const PrefixMatch& match, int64_t now_ns);
  PageId page(NodeId node) const { return at(node).page; }
  // A cursor behind the pages of a match.
  PrefixCursor cursor(const PrefixMatch& match) const;
  PrefixCursor start() const { return {kNoNode, 0, epoch_}; }

  // Takes up the full pages among `tokens` that the cursor is not past, becoming one more owner.
  // pages: of the sequence; one that the tree has already is exchanged for the tree's (same tokens,
  // same bits) and released. Does nothing for a cursor from before clear().
  void insert(const Hash128& root, std::span<const int32_t> tokens, std::span<PageId> pages,
              PrefixCursor& cursor, int64_t now_ns);
  // The same, and the page that `tokens` fill only in part. Precondition: the sequence is about to
  // release its pages.
  void insert_all(const Hash128& root, std::span<const int32_t> tokens, std::span<PageId> pages,
                  PrefixCursor& cursor, int64_t now_ns);

  // Frees the page whose loss costs least. False: every page is in use.
  bool evict_one();
  // Forgets everything; what sequences hold stays theirs and is not taken up again.
  void clear();

  int32_t pages() const { return pages_; }
  uint64_t evictions() const { return evictions_; }
  uint64_t epoch() const { return epoch_; }
  uint64_t changes() const { return changes_; }  // grows whenever a page comes or goes
  // Another key. Precondition: the tree is empty.
  void rekey(const HashKey& key) { key_ = key; }

  // Full pages, parents before children and in a fixed order.
  std::vector<NodeId> full_nodes() const;
  bool has_full(NodeId node) const;
  CachedPage describe(NodeId node) const;  // of a full page
  int32_t page_tokens() const { return page_tokens_; }
  const HashKey& key() const { return key_; }
  Hash128 page_hash(const Hash128& parent, std::span<const int32_t> tokens) const;
  // Adds a page behind `parent`, as restored from elsewhere, and becomes the owner of `page`.
  // kNoNode when a sibling begins with these tokens or the parent is gone: the page is still the
  // caller's. parent: hash of the page before, or the root.
  NodeId adopt(const Hash128& root, NodeId parent, std::span<const int32_t> tokens, PageId page,
               int64_t now_ns);

  // Error: kInternal naming what does not add up.
  Status check() const;

 private:
  struct Node {
    NodeId parent = kNoNode;  // kNoNode: a root
    Hash128 hash;             // of a root: the root
    std::vector<int32_t> tokens;
    std::vector<NodeId> children;  // sorted by tokens
    PageId page = -1;              // -1: a root
    int32_t depth = 0;             // pages before it, its own included
    int32_t uses = 0;
    int64_t last_used_ns = 0;
    double value = 0;
    bool alive = false;
  };
  using LeafKey = std::tuple<double, int64_t, NodeId>;

  const Node& at(NodeId node) const { return nodes_[static_cast<size_t>(node)]; }
  Node& at(NodeId node) { return nodes_[static_cast<size_t>(node)]; }
  bool full(const Node& node) const {
    return node.tokens.size() == static_cast<size_t>(page_tokens_);
  }
  LeafKey leaf_key(NodeId node) const { return {at(node).value, at(node).last_used_ns, node}; }
  // Where `tokens` stand, or would, among the children.
  size_t lower_bound(const Node& parent, std::span<const int32_t> tokens) const;
  NodeId find_root(const Hash128& root) const;
  NodeId parent_of(const Hash128& root, const PrefixCursor& cursor);
  NodeId new_node(NodeId parent);
  // The child that holds `tokens`, made if it is missing; takes a reference to `page` then.
  NodeId child_for(NodeId parent, std::span<const int32_t> tokens, PageId page, int64_t now_ns);
  void set_page(NodeId node, std::span<const int32_t> tokens, PageId page);
  void use(NodeId node, int uses, int64_t now_ns);
  void remove_leaf(NodeId node);
  Hash128 root_of(NodeId node) const;
  Status check_node(NodeId id) const;

  PagePool& pool_;
  const int32_t page_tokens_;
  HashKey key_;
  PrefixTreeObserver* observer_ = nullptr;
  std::vector<Node> nodes_;
  std::vector<NodeId> unused_;
  std::map<Hash128, NodeId> roots_;
  std::set<LeafKey> leaves_;
  double age_ = 0;
  int32_t pages_ = 0;
  uint64_t evictions_ = 0;
  uint64_t epoch_ = 1;
  uint64_t changes_ = 0;
};

}  // namespace weir::kv
