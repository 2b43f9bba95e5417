// The prefix tree and its pages in a file, for a start that finds what was computed before.
//
//   header   "WEIRKV1\n", u32 version, u32 page_tokens, u64 page_bytes, model[16], traits[64],
//            hash key u64 u64, sum[16]
//   page     u32 1, i32 number of the page before it (-1: none), root[16], page_tokens x i32,
//            page_bytes bytes, sum[16]                                          (any number)
//   end      u32 2, u32 pages, sum[16]
//
// Little endian. A sum is keyed_hash under kSumKey of its section and, chained, of the sum before,
// so that sections cannot be swapped, repeated or left out; what it stands against is damage, not
// malice: whoever can write the file can make the model read any keys and values. Only full pages
// are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/hash.h"
#include "base/result.h"
#include "os/file.h"

namespace weir::kv {

// What must be equal for the bytes of a page to mean the same.
struct SnapshotIdentity {
  Hash128 model;
  std::string traits;  // ISA, KV types and build; at most kSnapshotTraitsBytes
  int32_t page_tokens = 0;
  uint64_t page_bytes = 0;
};
inline constexpr size_t kSnapshotTraitsBytes = 64;

struct SnapshotPage {
  Hash128 root;
  int32_t before = -1;  // number of the page before it in the file, from 0; -1: it is the first
  std::span<const int32_t> tokens;
  std::span<const std::byte> bytes;
};

// One thread. Destroyed without finish(), it leaves the old file.
class SnapshotWriter {
 public:
  // Errors: kIo, kNotFound (the directory), kInternal for traits that are too long.
  static Result<SnapshotWriter> create(const std::string& path, const SnapshotIdentity& identity,
                                       const HashKey& key);
  // Precondition: sizes as in the identity, `before` was added.
  Status add(const SnapshotPage& page);
  // Replaces the old file; synced.
  Status finish();
  uint32_t pages() const { return pages_; }

 private:
  explicit SnapshotWriter(os::AtomicFile file) : file_(std::move(file)) {}
  Status write_section(std::span<const std::span<const std::byte>> parts);
  os::AtomicFile file_;
  Hash128 sum_;
  uint32_t pages_ = 0;
};

// Calls key() once, then page() for each page in order; the spans are valid in the call, and what
// is in them has the right sum. An error may come after calls: then all of it must be forgotten.
// Errors: kUnsupported for another version, model, page size, KV type, ISA or build, saying which;
// kCorrupt with the offset; whatever the calls return.
struct SnapshotSink {
  std::function<void(const HashKey&)> key;
  std::function<Status(const SnapshotPage&)> page;
};
Status read_snapshot(std::span<const std::byte> file, const SnapshotIdentity& identity,
                     const SnapshotSink& sink);

}  // namespace weir::kv
