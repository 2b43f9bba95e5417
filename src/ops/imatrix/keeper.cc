#include "ops/imatrix/keeper.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "os/file.h"
#include "os/stale_temporaries.h"

namespace weir::ops {
namespace {

// Left free besides, for the directory and for others.
constexpr uint64_t kSpareBytes = 1 << 20;

}  // namespace

Keeper::Keeper(const CollectKeeping& keeping, RunFingerprint run)
    : keeping_(keeping), run_(std::move(run)), began_ns_(keeping.clock->now_ns()) {
  os::remove_stale_temporaries(keeping.path);
}

Result<std::optional<CollectedSums>> Keeper::take_up(int64_t chunks) {
  std::error_code ec;
  const auto status = std::filesystem::symlink_status(keeping_.path, ec);
  if (status.type() == std::filesystem::file_type::not_found) return std::optional<CollectedSums>();
  if (status.type() != std::filesystem::file_type::regular) {
    return make_error(ErrorCode::kIo,
                      "{} is no file, so it is of no unfinished run of weir imatrix: move it away, "
                      "or write to another name",
                      keeping_.path);
  }
  auto sums = read_unfinished(keeping_.path, run_);
  std::string reason;
  if (!sums.ok()) {
    reason = sums.error().message;
  } else if (sums->chunks > chunks) {
    reason = fmt::format("it has {} chunks, and the run {}", sums->chunks, chunks);
  } else {
    say_there();
    return std::optional(std::move(sums).value());
  }
  if (keeping_.resume) {
    return make_error(ErrorCode::kInvalidValue,
                      "{} is no unfinished run of the same: {}; give what it was begun with, or "
                      "leave --resume out to begin anew",
                      keeping_.path, reason);
  }
  note(
      fmt::format("an unfinished run was there ({}) and did not count: {}", keeping_.path, reason));
  return std::optional<CollectedSums>();
}

void Keeper::chunk_done(const CollectedSums& sums) {
  // Which inputs there are is known after the first chunk.
  if (!pace_) pace_.emplace(began_ns_, unfinished_bytes(sums));
  const int64_t began = keeping_.clock->now_ns();
  if (!pace_->is_due(began)) return;
  const Status kept = keep(sums);
  pace_->attempted(began, keeping_.clock->now_ns());
  if (kept.ok()) return say_there();
  if (!std::exchange(said_failure_, true)) {
    note(
        fmt::format("what is summed so far could not be kept, so that a run that ends early begins "
                    "anew: {}",
                    kept.error().message));
  }
}

Status Keeper::keep(const CollectedSums& sums) const {
  const uint64_t bytes = unfinished_bytes(sums);
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(keeping_.path));
  if (free < bytes + keeping_.spare_bytes + kSpareBytes) {
    return make_error(ErrorCode::kIo,
                      "{} would have {} bytes, the results take {} more, and the disk has {}",
                      keeping_.path, bytes, keeping_.spare_bytes, free);
  }
  return write_unfinished(sums, run_, keeping_.path);
}

void Keeper::discard() {
  std::error_code ignored;
  if (said_there_) std::filesystem::remove(keeping_.path, ignored);
}

void Keeper::say_there() {
  if (!std::exchange(said_there_, true) && keeping_.there) keeping_.there();
}

void Keeper::note(std::string_view text) const {
  if (keeping_.note) keeping_.note(text);
}

}  // namespace weir::ops
