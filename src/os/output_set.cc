#include "os/output_set.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "os/file.h"

namespace weir::os {
namespace {

constexpr const char* kJournal = "journal";
// A folder can go between its opening and its lock when another run commits; so often is no chance.
constexpr int kLockAttempts = 100;
// So much is written before the disk is set to work on it.
constexpr uint64_t kWritebackBytes = 8 << 20;

bool is_other_than_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
}

Error not_ours(const std::string& path, std::string_view what) {
  return make_error(ErrorCode::kIo,
                    "{} is {}, so it is of no unfinished run: move it away, or write to another "
                    "name",
                    path, what);
}

}  // namespace

Result<OutputSet> OutputSet::open(const std::string& path, std::vector<std::string> targets) {
  for (const std::string& target : targets) {
    if (is_other_than_file(target)) {
      return make_error(ErrorCode::kIo, "cannot write {}: it exists and is not a file", target);
    }
  }
  OutputSet set;
  set.path_ = path;
  set.folder_ = path + ".partial";
  set.targets_ = std::move(targets);
  set.files_.assign(set.targets_.size(), -1);
  set.unsynced_.resize(set.targets_.size());
  WEIR_TRY(set.lock());
  auto text = read_file(set.folder_ + "/" + kJournal, kMaxJournalBytes);
  if (!text.ok()) {
    set.keep_ = true;  // it is not ours to remove
    return std::move(text).error();
  }
  set.journal_ = std::move(*text);
  if (const Status ours = set.check_ours(); !ours.ok()) {
    set.keep_ = true;
    if (set.journal_.empty()) ::unlink((set.folder_ + "/" + kJournal).c_str());
    return ours.error();
  }
  return set;
}

Status OutputSet::lock() {
  const std::string name = folder_ + "/" + kJournal;
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    if (::mkdir(folder_.c_str(), 0777) != 0 && errno != EEXIST)
      return system_error("write", path_, errno);
    std::error_code ec;
    if (std::filesystem::is_symlink(folder_, ec)) return not_ours(folder_, "a link");
    // Neither a link to somewhere else nor a pipe that nobody reads.
    const int fd = ::open(
        name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0 && errno == ENOENT) continue;
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) return not_ours(name, "no file");
    if (fd < 0) return system_error("write", name, errno);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      ::close(fd);
      if (reason != EWOULDBLOCK) return system_error("lock", name, reason);
      return make_error(ErrorCode::kIo, "{} is being written by another process, which holds {}",
                        path_, folder_);
    }
    struct stat info {};
    const bool known = ::fstat(fd, &info) == 0;
    if (known && !S_ISREG(info.st_mode)) {
      ::close(fd);
      return not_ours(name, "no file");
    }
    if (known && info.st_nlink > 0) {
      journal_fd_ = fd;
      return {};
    }
    ::close(fd);
  }
  return make_error(ErrorCode::kIo, "{} comes and goes; is another process writing {}?", folder_,
                    path_);
}

OutputSet::OutputSet(OutputSet&& other) noexcept
    : path_(std::move(other.path_)),
      folder_(std::exchange(other.folder_, {})),
      journal_(std::move(other.journal_)),
      targets_(std::move(other.targets_)),
      files_(std::exchange(other.files_, {})),
      unsynced_(std::exchange(other.unsynced_, {})),
      journal_fd_(std::exchange(other.journal_fd_, -1)),
      keep_(other.keep_) {}

OutputSet::~OutputSet() {
  const bool ours = journal_fd_ >= 0;
  if (ours && !keep_) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);  // before the lock goes
  }
  close_all();
}

void OutputSet::close_all() {
  for (int& fd : files_) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  if (journal_fd_ >= 0) ::close(std::exchange(journal_fd_, -1));
}

std::string OutputSet::inside(size_t file) const {
  return fmt::format("{}/{:05}", folder_, file + 1);
}

Status OutputSet::open_file(size_t file, bool fresh) {
  const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_EXCL : 0);
  files_[file] = ::open(inside(file).c_str(), flags, 0666);
  if (files_[file] < 0) return system_error("write", targets_[file], errno);
  // A replaced file keeps its permissions; failing to set them is not worth failing the write.
  struct stat old {};
  if (::stat(targets_[file].c_str(), &old) == 0) (void)!::fchmod(files_[file], old.st_mode & 07777);
  return {};
}

// Only what an unfinished run leaves may be removed.
Status OutputSet::check_ours() const {
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ec)) {
    const std::string name = entry.path().filename().string();
    const bool part = name.size() == 5 && name.find_first_not_of("0123456789") == std::string::npos;
    if (name == kJournal ||
        (part && entry.symlink_status(ec).type() == std::filesystem::file_type::regular))
      continue;
    return make_error(ErrorCode::kIo,
                      "{} holds {}, which is of no unfinished run: move it away, or write to "
                      "another name",
                      folder_, name);
  }
  return {};
}

Status OutputSet::restart() {
  journal_.clear();
  if (::ftruncate(journal_fd_, 0) != 0) return system_error("write", folder_, errno);
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ec)) {
    if (entry.path().filename() != kJournal) std::filesystem::remove_all(entry.path(), ec);
  }
  for (size_t i = 0; i < targets_.size(); ++i) WEIR_TRY(open_file(i, true));
  return {};
}

Status OutputSet::resume() {
  // The first comes back first: the others alone are no model.
  for (size_t i = 0; i < targets_.size(); ++i) {
    struct stat info {};
    const bool missing = ::stat(inside(i).c_str(), &info) != 0 && errno == ENOENT;
    if (missing && ::rename(targets_[i].c_str(), inside(i).c_str()) != 0 && errno != ENOENT)
      return system_error("take back", targets_[i], errno);
    WEIR_TRY(open_file(i, false));
  }
  return {};
}

Status OutputSet::write_at(size_t file, uint64_t offset, std::span<const std::byte> bytes) {
  WEIR_TRY(write_all_at(files_[file], offset, bytes, targets_[file]));
  // What is done goes to the disk while the rest is computed, so that commit() waits for little.
  Unsynced& late = unsynced_[file];
  const uint64_t end = offset + bytes.size();
  late = late.bytes == 0 ? Unsynced{offset, end, bytes.size()}
                         : Unsynced{std::min(late.first, offset), std::max(late.end, end),
                                    late.bytes + bytes.size()};
  if (late.bytes < kWritebackBytes) return {};
  // Only begins the writing; what goes wrong is told by fsync.
  (void)!::sync_file_range(files_[file], static_cast<off_t>(late.first),
                           static_cast<off_t>(late.end - late.first), SYNC_FILE_RANGE_WRITE);
  late.bytes = 0;
  return {};
}

Result<bool> OutputSet::read_at(size_t file, uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(files_[file], out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("read", inside(file), errno);
    if (n == 0) return false;
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return true;
}

Status OutputSet::truncate(size_t file, uint64_t bytes) {
  if (::ftruncate(files_[file], static_cast<off_t>(bytes)) == 0) return {};
  return system_error("write", targets_[file], errno);
}

Status OutputSet::append_journal(std::string_view text) {
  return write_all(journal_fd_, std::as_bytes(std::span(text)), folder_ + "/" + kJournal);
}

Status OutputSet::cut_journal(size_t bytes) {
  if (::ftruncate(journal_fd_, static_cast<off_t>(bytes)) != 0)
    return system_error("write", folder_, errno);
  journal_.resize(std::min(journal_.size(), bytes));
  return {};
}

uint64_t OutputSet::present_bytes() const {
  constexpr uint64_t kBlockBytes = 512;  // the unit of st_blocks
  uint64_t bytes = 0;
  for (const int fd : files_) {
    struct stat info {};
    if (fd >= 0 && ::fstat(fd, &info) == 0)
      bytes += static_cast<uint64_t>(info.st_blocks) * kBlockBytes;
  }
  return bytes;
}

Status OutputSet::give_names() {
  const std::string& first = targets_.front();
  if (targets_.size() > 1 && ::unlink(first.c_str()) != 0 && errno != ENOENT)
    return system_error("replace", first, errno);
  for (size_t i = targets_.size(); i-- > 0;) {
    // That the first is gone, and later that the others are there, is on the disk before more is.
    if (targets_.size() > 1 && (i + 1 == targets_.size() || i == 0))
      WEIR_TRY(sync_directory_of(first));
    if (::rename(inside(i).c_str(), targets_[i].c_str()) != 0)
      return system_error("replace", targets_[i], errno);
  }
  return sync_directory_of(first);
}

Status OutputSet::commit() {
  for (size_t i = 0; i < files_.size(); ++i) {
    if (::fsync(files_[i]) != 0) return system_error("sync", targets_[i], errno);
  }
  keep_ = true;  // some may have their names when giving them fails; later nothing is left
  WEIR_TRY(give_names());
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
  close_all();
  return {};
}

}  // namespace weir::os
