// Keeps the prefix tree in a file (kv/snapshot.h): reads it at the start, writes it now and then
// and at the end. Writing beside steps: the engine thread copies a few pages each time it comes by,
// a thread of this class sums, writes and syncs them. What is evicted meanwhile is left out, with
// what hangs behind it.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "engine/engine.h"
#include "engine/runner.h"
#include "kv/page_pool.h"
#include "kv/prefix_tree.h"
#include "kv/snapshot.h"

namespace weir::engine {

// Every member: engine thread, unless it says otherwise.
class PrefixSnapshots {
 public:
  // All borrowed.
  PrefixSnapshots(kv::PrefixTree& tree, kv::PagePool& pool, Runner& runner, const Clock& clock,
                  const PrefixOptions& options);
  ~PrefixSnapshots();  // what is being written is given up
  PrefixSnapshots(const PrefixSnapshots&) = delete;
  PrefixSnapshots& operator=(const PrefixSnapshots&) = delete;

  // Fills an empty tree. A file that is damaged, of another model or of none leaves it empty.
  void restore();
  // Between steps: begins a file when it is time, goes on with one that has begun.
  void tick();
  bool writing() const { return thread_.joinable(); }
  // Writes what is there now, in this thread.
  void write_now();

 private:
  struct Item {
    Hash128 root;
    int32_t before = -1;
    std::vector<int32_t> tokens;
    std::vector<std::byte> bytes;
    bool last = false;     // no page: the end
    bool give_up = false;  // no page: throw away what was written
  };

  kv::SnapshotIdentity identity() const;
  void begin();
  bool queue_full() const WEIR_EXCLUDES(mutex_);
  void push(Item item) WEIR_EXCLUDES(mutex_);
  std::optional<Item> next_page();
  void end() WEIR_EXCLUDES(mutex_);
  void report(SnapshotReport::Kind kind, int32_t pages, int64_t start_ns, const Status& status);
  void write_all() WEIR_EXCLUDES(mutex_);  // its own thread
  Result<int32_t> write_items() WEIR_EXCLUDES(mutex_);

  kv::PrefixTree& tree_;
  kv::PagePool& pool_;
  Runner& runner_;
  const Clock& clock_;
  const PrefixOptions& options_;
  int64_t last_ns_;
  uint64_t saved_changes_ = 0;
  // The file being written.
  std::vector<std::pair<kv::NodeId, Hash128>> plan_;
  size_t planned_ = 0;  // of plan_, looked at
  std::map<Hash128, int32_t> numbers_;
  uint64_t epoch_ = 0;
  uint64_t changes_ = 0;
  int64_t start_ns_ = 0;
  std::thread thread_;

  mutable Mutex mutex_;
  ConditionVariable changed_;
  std::deque<Item> queue_ WEIR_GUARDED_BY(mutex_);
  bool done_ WEIR_GUARDED_BY(mutex_) = false;
  Status result_ WEIR_GUARDED_BY(mutex_);
  int32_t written_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::engine
