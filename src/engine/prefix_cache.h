// How the engine reuses keys and values: sequences find the beginning of their prompt in the prefix
// tree when they start, and leave there what they computed, page by page as steps commit and all
// of it when they end or are preempted. Only what a committed step computed enters the tree, so
// what is found has the bits that computing it would give (invariant "same bits").
//
// Prefixes are apart by tenant and cache_salt. Texts to embed take no part: their pooling needs the
// hidden states of every token. A prompt whose log probabilities are wanted finds only what lies
// before those that it still lacks (Sequence::findable). For the engine thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/prefix_snapshot.h"
#include "engine/runner.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "kv/page_pool.h"
#include "kv/prefix_tree.h"

namespace weir::engine {

class PrefixCache final : private kv::PrefixTreeObserver {
 public:
  // All borrowed.
  PrefixCache(Runner& runner, kv::PagePool& pool, const Clock& clock, const PrefixOptions& options);

  // Gives a new sequence its root.
  void admit(Sequence& s) const;
  // Adds to the views, one per sequence, what sequences without pages would find, and holds back
  // those whose prefix another one is computing or about to compute: they find it a step or some
  // later, instead of computing the same beside it.
  // Brings pages back from the second tier for them first.
  void look_up(std::span<Sequence* const> sequences, std::span<SequenceView> views);
  // Starts a sequence without pages behind what was found for it. Precondition: the tree is as it
  // was at look_up, or larger.
  void attach(Sequence& s, int32_t tokens);
  // Gives back what the attached sequence copies from; after its new page is allocated.
  void copy_partial(Sequence& s);
  // Pages for a sequence, all or none; evicts what nobody uses. False: not enough.
  [[nodiscard]] bool allocate(int32_t count, std::vector<kv::PageId>& pages);
  // After a step: takes up the full pages that are new.
  void committed(Sequence& s);
  // Takes back all pages of a sequence. keep: what is computed stays for others.
  void release(Sequence& s, bool keep);
  void flush() { tree_.clear(); }
  // Between steps.
  void tick();
  bool busy() const { return snapshots_.writing(); }  // tick() wants to be called soon
  // The engine stops: what is there is kept for the next start.
  void keep() { snapshots_.write_now(); }

  void fill(EngineStats& stats) const;
  const kv::PrefixTree& tree() const { return tree_; }

 private:
  bool takes_part(const Sequence& s) const {
    return options_.enabled && !s.request->request.embeds();
  }
  // What a sequence that starts finds of the tokens that it may look for.
  kv::PrefixMatch find(const Sequence& s) const;
  void on_stored(const kv::CachedPage& page) override;
  void on_evicted(const kv::CachedPage& page) override;
  void on_cleared() override;
  void promote(Sequence& s);
  kv::NodeId promote_page(const Hash128& root, kv::NodeId parent, const Hash128& hash,
                          std::span<const int32_t> tokens);
  void describe_start(const Sequence& s, SequenceView& view) const;

  Runner& runner_;
  kv::PagePool& pool_;
  const Clock& clock_;
  const PrefixOptions options_;
  const bool encoder_;
  kv::PrefixTree tree_;
  PrefixSnapshots snapshots_;
  uint64_t queries_tokens_ = 0;
  uint64_t hits_tokens_ = 0;
  uint64_t tier_hits_pages_ = 0;
};

}  // namespace weir::engine
