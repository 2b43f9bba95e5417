// A snapshot of the KV cache from outside; the seeds are files with the right sums.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "kv/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::kv;
  const SnapshotIdentity identity{{1, 2}, "avx2 f16", 4, 24};
  uint32_t pages = 0;
  bool has_key = false;
  SnapshotSink sink;
  sink.key = [&](const weir::HashKey&) { has_key = true; };
  sink.page = [&](const SnapshotPage& p) -> weir::Status {
    if (!has_key || p.before < -1 || p.before >= static_cast<int32_t>(pages)) std::abort();
    if (p.tokens.size() != 4 || p.bytes.size() != 24) std::abort();
    ++pages;
    return {};
  };
  (void)read_snapshot(std::as_bytes(std::span(data, size)), identity, sink);
  return 0;
}
