#include "ops/quantize/output.h"

#include <algorithm>

#include "os/file.h"

namespace weir::ops {
namespace {

// Left free on the disk, for the directory and for others.
constexpr uint64_t kSpareBytes = 1 << 20;
// A tensor's hash is that of the hashes of its pieces, which workers take; so many are collected.
constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kPieces = 16;
constexpr HashKey kKey{0x77656972, 0x7061727469616c};  // any; it guards against damage

}  // namespace

QuantizedOutput::QuantizedOutput(os::OutputSet set, const std::vector<QuantizedPart>& parts,
                                 kernels::ThreadPool& pool)
    : set_(std::move(set)), parts_(&parts), pool_(&pool) {
  for (size_t i = 0; i < parts.size(); ++i) {
    for (const gguf::TensorPlace& at : parts[i].writer.places()) places_.push_back({i, at});
  }
}

Result<QuantizedOutput> QuantizedOutput::open(const OutputOptions& options,
                                              const std::vector<QuantizedPart>& parts,
                                              const RunFingerprint& run,
                                              kernels::ThreadPool& pool) {
  std::vector<std::string> targets;
  targets.reserve(parts.size());
  for (const QuantizedPart& part : parts) targets.push_back(part.path);
  WEIR_ASSIGN(os::OutputSet set, os::OutputSet::open(options.path, std::move(targets)));
  QuantizedOutput out(std::move(set), parts, pool);
  // Until it is certain that what is there is to go, it is not ours to remove.
  out.set_.keep();
  const Status taken = out.take_up(options, run);
  if (!options.resume) out.set_.discard();
  if (!taken.ok()) return taken.error();
  const Status rest = out.begin(options.path);
  if (!rest.ok()) return rest.error();
  return out;
}

Status QuantizedOutput::begin(const std::string& path) {
  WEIR_TRY(check_room(path));
  return write_headers();
}

Status QuantizedOutput::take_up(const OutputOptions& options, const RunFingerprint& run) {
  auto parsed = parse_journal(set_.journal());
  std::string reason;
  if (!parsed.ok()) {
    reason = parsed.error().message;
  } else if (*parsed) {
    const auto differs = difference((*parsed)->run, run);
    if (!differs) return go_on(**parsed);
    reason = fmt::format("it differs in {}", *differs);
  }
  if (options.resume && !reason.empty()) {
    return make_error(
        ErrorCode::kInvalidValue,
        "{} is not an unfinished run of the same: {}; give what it was begun with, or "
        "leave --resume out to begin anew",
        set_.folder(), reason);
  }
  discarded_ = std::move(reason);
  WEIR_TRY(set_.restart());
  return set_.append_journal(journal_head(run));
}

// Takes over the tensors that are whole; what follows the first that is not is done again.
Status QuantizedOutput::go_on(const Journal& journal) {
  WEIR_TRY(set_.resume());
  const size_t known = std::min(journal.tensors.size(), places_.size());
  for (tensor_ = 0; tensor_ < known; ++tensor_) {
    WEIR_ASSIGN(const bool whole, holds(places_[tensor_], journal.tensors[tensor_]));
    if (!whole) break;
  }
  WEIR_TRY(set_.cut_journal(journal.ends[tensor_]));
  for (size_t i = 0; i < parts_->size(); ++i) {
    const QuantizedPart& part = (*parts_)[i];
    const size_t left = part.first + part.count;
    uint64_t end = 0;
    if (tensor_ > part.first) {
      const gguf::TensorPlace& last = places_[std::min(tensor_, left) - 1].at;
      end = last.offset + last.padded_bytes;
    }
    WEIR_TRY(set_.truncate(i, end));
  }
  return {};
}

Result<bool> QuantizedOutput::holds(const Place& place, const Hash128& hash) {
  std::vector<std::byte> bytes(std::min<uint64_t>(place.at.padded_bytes, kPieces * kPieceBytes));
  for (uint64_t done = 0; done < place.at.padded_bytes;) {
    const auto span =
        std::span(bytes).first(std::min<uint64_t>(bytes.size(), place.at.padded_bytes - done));
    WEIR_ASSIGN(const bool there, set_.read_at(place.file, place.at.offset + done, span));
    if (!there) {
      (void)take_hash();
      return false;
    }
    hash_pieces(span);
    done += span.size();
  }
  return take_hash() == hash;
}

Status QuantizedOutput::check_room(const std::string& path) const {
  uint64_t bytes = 0;
  for (const QuantizedPart& part : *parts_) bytes += part.writer.file_bytes();
  const uint64_t present = std::min(bytes, set_.present_bytes());
  WEIR_ASSIGN(const uint64_t free, os::free_disk_bytes(path));
  if (free >= bytes - present + kSpareBytes) return {};
  return make_error(
      ErrorCode::kIo,
      "{} will have {} bytes, {} of them are written, {} more must stay free, and the "
      "disk has {}; make room or write elsewhere",
      path, bytes, present, kSpareBytes, free);
}

Status QuantizedOutput::write_headers() {
  for (size_t i = 0; i < parts_->size(); ++i) {
    WEIR_ASSIGN(const auto header, (*parts_)[i].writer.to_header());
    WEIR_TRY(set_.write_at(i, 0, header));
  }
  return {};
}

Status QuantizedOutput::write(std::span<const std::byte> bytes) {
  if (tensor_ >= places_.size() || bytes.size() > places_[tensor_].at.bytes - done_) {
    return make_error(ErrorCode::kInternal, "tensor {} of {} got more bytes than were declared",
                      tensor_, places_.size());
  }
  const Place& place = places_[tensor_];
  WEIR_TRY(set_.write_at(place.file, place.at.offset + done_, bytes));
  hash_pieces(bytes);
  done_ += bytes.size();
  return {};
}

Status QuantizedOutput::end_tensor() {
  if (tensor_ >= places_.size() || done_ != places_[tensor_].at.bytes) {
    return make_error(ErrorCode::kInternal, "tensor {} of {} has {} bytes too few", tensor_,
                      places_.size(),
                      tensor_ >= places_.size() ? 0 : places_[tensor_].at.bytes - done_);
  }
  const Place& place = places_[tensor_];
  const std::vector<std::byte> zeros(place.at.padded_bytes - place.at.bytes);
  WEIR_TRY(set_.write_at(place.file, place.at.offset + place.at.bytes, zeros));
  hash_pieces(zeros);
  WEIR_TRY(set_.append_journal(journal_line(tensor_, take_hash())));
  done_ = 0;
  ++tensor_;
  return {};
}

Status QuantizedOutput::commit() {
  if (tensor_ == places_.size()) return set_.commit();
  return make_error(ErrorCode::kInternal, "{} of {} tensors were written", tensor_, places_.size());
}

void QuantizedOutput::hash_pieces(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t taken = std::min(bytes.size(), kPieces * kPieceBytes - pending_.size());
    const auto part = bytes.first(taken);
    pending_.insert(pending_.end(), part.begin(), part.end());
    bytes = bytes.subspan(taken);
    if (pending_.size() == kPieces * kPieceBytes) hash_pending();
  }
}

void QuantizedOutput::hash_pending() {
  const size_t pieces = (pending_.size() + kPieceBytes - 1) / kPieceBytes;
  const size_t first = hashes_.size();
  hashes_.resize(first + pieces);
  pool_->parallel_for(pieces, [&](size_t i, size_t) {
    const auto rest = std::span<const std::byte>(pending_).subspan(i * kPieceBytes);
    hashes_[first + i] = keyed_hash(kKey, rest.first(std::min(rest.size(), kPieceBytes)));
  });
  pending_.clear();
}

Hash128 QuantizedOutput::take_hash() {
  hash_pending();
  std::vector<std::byte> all;
  for (const Hash128& h : hashes_) {
    const auto bytes = h.bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  hashes_.clear();
  return keyed_hash(kKey, all);
}

}  // namespace weir::ops
