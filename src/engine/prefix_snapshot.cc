#include "engine/prefix_snapshot.h"

#include <algorithm>
#include <utility>

#include "os/mapped_file.h"

namespace weir::engine {
namespace {

// Pages that wait for the writing thread: enough that it need not wait for the next step, few
// enough that copying them (0.1 ms a page of SmolLM2-135M) does not lengthen a step.
constexpr size_t kQueuedPages = 4;

}  // namespace

PrefixSnapshots::PrefixSnapshots(kv::PrefixTree& tree, kv::PagePool& pool, Runner& runner,
                                 const Clock& clock, const PrefixOptions& options)
    : tree_(tree),
      pool_(pool),
      runner_(runner),
      clock_(clock),
      options_(options),
      last_ns_(clock.now_ns()) {}

PrefixSnapshots::~PrefixSnapshots() {
  if (!thread_.joinable()) return;
  Item item;
  item.give_up = true;
  push(std::move(item));
  thread_.join();
}

kv::SnapshotIdentity PrefixSnapshots::identity() const {
  return {options_.model, options_.traits, tree_.page_tokens(), runner_.page_bytes(0).size()};
}

void PrefixSnapshots::report(SnapshotReport::Kind kind, int32_t pages, int64_t start_ns,
                             const Status& status) {
  if (!options_.on_snapshot) return;
  SnapshotReport r;
  r.kind = kind;
  r.pages = pages;
  r.ms = static_cast<double>(clock_.now_ns() - start_ns) * 1e-6;
  if (!status.ok()) r.error = status.error().with_context(options_.snapshot_path);
  options_.on_snapshot(r);
}

void PrefixSnapshots::restore() {
  if (options_.snapshot_path.empty()) return;
  const int64_t start_ns = clock_.now_ns();
  const auto file = os::MappedFile::open(options_.snapshot_path);
  if (!file.ok()) {
    const bool first = file.error().code == ErrorCode::kNotFound;  // nothing was written yet
    if (!first) report(SnapshotReport::Kind::kIgnored, 0, start_ns, file.error());
    return;
  }
  std::vector<kv::NodeId> nodes;
  kv::SnapshotSink sink;
  sink.key = [this](const HashKey& key) { tree_.rekey(key); };
  sink.page = [&](const kv::SnapshotPage& p) -> Status {
    nodes.push_back(kv::kNoNode);
    const kv::NodeId parent = p.before < 0 ? kv::kNoNode : nodes[static_cast<size_t>(p.before)];
    std::vector<kv::PageId> page;
    // A smaller cache than that of the file: the rest is left out.
    if ((p.before >= 0 && parent == kv::kNoNode) || !pool_.allocate(1, page)) return {};
    std::copy(p.bytes.begin(), p.bytes.end(), runner_.page_bytes(page[0]).begin());
    nodes.back() = tree_.adopt(p.root, parent, p.tokens, page[0], start_ns);
    if (nodes.back() == kv::kNoNode) pool_.release(page[0]);
    return {};
  };
  const Status status = kv::read_snapshot(file->bytes(), identity(), sink);
  if (!status.ok()) {
    tree_.clear();
    tree_.rekey(options_.hash_key);
  }
  saved_changes_ = tree_.changes();
  report(status.ok() ? SnapshotReport::Kind::kRestored : SnapshotReport::Kind::kIgnored,
         tree_.pages(), start_ns, status);
}

void PrefixSnapshots::begin() {
  plan_.clear();
  numbers_.clear();
  planned_ = 0;
  for (const kv::NodeId node : tree_.full_nodes())
    plan_.emplace_back(node, tree_.describe(node).hash);
  epoch_ = tree_.epoch();
  changes_ = tree_.changes();
  start_ns_ = clock_.now_ns();
}

// The next page of the plan that is still there and whose page before went into the file.
std::optional<PrefixSnapshots::Item> PrefixSnapshots::next_page() {
  while (planned_ < plan_.size()) {
    const auto [node, hash] = plan_[planned_++];
    if (!tree_.has_full(node)) continue;
    const kv::CachedPage page = tree_.describe(node);
    if (page.hash != hash) continue;
    Item item;
    if (page.position > 0) {
      const auto before = numbers_.find(page.parent);
      if (before == numbers_.end()) continue;
      item.before = before->second;
    }
    item.root = page.root;
    item.tokens.assign(page.tokens.begin(), page.tokens.end());
    const std::span<const std::byte> bytes = runner_.page_bytes(page.page);
    item.bytes.assign(bytes.begin(), bytes.end());
    const auto number = static_cast<int32_t>(numbers_.size());
    numbers_.emplace(hash, number);
    return item;
  }
  return std::nullopt;
}

void PrefixSnapshots::tick() {
  if (options_.snapshot_path.empty()) return;
  if (!writing()) {
    const double waited_s = static_cast<double>(clock_.now_ns() - last_ns_) * 1e-9;
    if (waited_s < options_.snapshot_interval_s) return;
    last_ns_ = clock_.now_ns();
    if (tree_.changes() == saved_changes_) return;
    begin();
    {
      MutexLock lock(mutex_);
      done_ = false;
    }
    thread_ = std::thread([this] { write_all(); });
  }
  while (planned_ <= plan_.size() && !queue_full()) {
    Item last;
    last.last = true;
    last.give_up = tree_.epoch() != epoch_;  // flushed meanwhile: nothing older may stay
    if (auto item = last.give_up ? std::nullopt : next_page(); item.has_value()) {
      push(std::move(*item));
    } else {
      planned_ = plan_.size() + 1;
      push(std::move(last));
    }
  }
  end();
}

bool PrefixSnapshots::queue_full() const {
  MutexLock lock(mutex_);
  return done_ || queue_.size() >= kQueuedPages;
}

void PrefixSnapshots::push(Item item) {
  MutexLock lock(mutex_);
  queue_.push_back(std::move(item));
  changed_.notify_one();
}

// Takes note of a file that is finished, or failed.
void PrefixSnapshots::end() {
  Status result;
  int32_t pages = 0;
  {
    MutexLock lock(mutex_);
    if (!done_) return;
    result = result_;
    pages = written_;
    queue_.clear();
  }
  thread_.join();
  last_ns_ = clock_.now_ns();
  if (result.ok()) saved_changes_ = changes_;
  report(result.ok() ? SnapshotReport::Kind::kWritten : SnapshotReport::Kind::kNotWritten, pages,
         start_ns_, result);
}

Result<int32_t> PrefixSnapshots::write_items() {
  WEIR_ASSIGN(kv::SnapshotWriter writer,
              kv::SnapshotWriter::create(options_.snapshot_path, identity(), tree_.key()));
  while (true) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (queue_.empty()) changed_.wait(mutex_);
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    if (item.give_up) return make_error(ErrorCode::kCancelled, "given up, the cache was flushed");
    if (item.last) break;
    WEIR_TRY(writer.add({item.root, item.before, item.tokens, item.bytes}));
  }
  WEIR_TRY(writer.finish());
  return static_cast<int32_t>(writer.pages());
}

void PrefixSnapshots::write_all() {
  const Result<int32_t> pages = write_items();
  MutexLock lock(mutex_);
  written_ = pages.ok() ? *pages : 0;
  result_ = pages.ok() ? Status() : Status(pages.error());
  done_ = true;
}

void PrefixSnapshots::write_now() {
  if (options_.snapshot_path.empty()) return;
  if (writing()) {
    Item item;
    item.give_up = true;
    push(std::move(item));
    thread_.join();
  }
  if (tree_.changes() == saved_changes_) return;
  begin();
  const auto write = [this]() -> Status {
    WEIR_ASSIGN(kv::SnapshotWriter writer,
                kv::SnapshotWriter::create(options_.snapshot_path, identity(), tree_.key()));
    while (auto item = next_page())
      WEIR_TRY(writer.add({item->root, item->before, item->tokens, item->bytes}));
    return writer.finish();
  };
  const Status status = write();
  if (status.ok()) saved_changes_ = changes_;
  report(status.ok() ? SnapshotReport::Kind::kWritten : SnapshotReport::Kind::kNotWritten,
         static_cast<int32_t>(numbers_.size()), start_ns_, status);
}

}  // namespace weir::engine
