// Files that appear under their names together, and whose making can go on after the process that
// made them was killed.
//
// Until commit() they lie in the folder "<path>.partial", beside their targets, with a journal of
// what the caller has finished. commit() syncs all of them, takes an older first file away, gives
// the names from the last file to the first and removes the folder. So at any moment either the
// first file is missing, which readers of split models open and miss by name, or all are there and
// new; a single file takes the place of an older one in one step. Nothing but the journal says how
// far the files are: what they hold after a kill or a power cut is the caller's to check.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::os {

// One thread. Destruction without commit() or keep() removes the folder and what is in it.
class OutputSet {
 public:
  // Makes the folder, or takes up the one that is there, and locks it until destruction. targets:
  // at least one, in the folder's directory. Changes nothing that is in the folder. Errors:
  // kNotFound and kIo as the operating system has them; kIo when another process holds the lock, or
  // a target is there and is no file; kLimit for a journal over kMaxJournalBytes.
  static Result<OutputSet> open(const std::string& path, std::vector<std::string> targets);
  OutputSet(OutputSet&& other) noexcept;
  OutputSet& operator=(OutputSet&&) = delete;
  ~OutputSet();

  static constexpr uint64_t kMaxJournalBytes = 64 << 20;

  // What an earlier run left in the journal, as it stands; empty where there was none.
  const std::string& journal() const { return journal_; }
  const std::string& folder() const { return folder_; }

  // One of the two comes before all that follows. Errors: kIo.
  // Empties the journal, removes the files and makes new ones.
  Status restart();
  // Goes on with the files of the earlier run; those that had their names already come back. A file
  // that is missing is made, empty.
  Status resume();

  // file: an index into the targets. Errors: kIo, naming the target.
  Status write_at(size_t file, uint64_t offset, std::span<const std::byte> bytes);
  // Whether the file holds that many bytes there, which are then in `out`.
  Result<bool> read_at(size_t file, uint64_t offset, std::span<std::byte> out) const;
  Status truncate(size_t file, uint64_t bytes);
  Status append_journal(std::string_view text);
  // Keeps the first bytes of what was in the journal when it was opened.
  Status cut_journal(size_t bytes);
  // What the files take on the disk by now.
  uint64_t present_bytes() const;

  // Nothing may be called after it. Errors: kIo. When names could not be given, the folder stays:
  // some files may have theirs.
  Status commit();
  // The folder outlives this object unless commit() succeeds.
  void keep() { keep_ = true; }
  void discard() { keep_ = false; }  // takes that back

 private:
  OutputSet() = default;
  std::string inside(size_t file) const;
  Status lock();
  Status check_ours() const;
  Status open_file(size_t file, bool fresh);
  Status give_names();
  void close_all();

  std::string path_, folder_, journal_;
  std::vector<std::string> targets_;
  std::vector<int> files_;  // of each target, or -1
  struct Unsynced {
    uint64_t first = 0, end = 0, bytes = 0;  // between the first two
  };
  std::vector<Unsynced> unsynced_;  // of each target
  int journal_fd_ = -1;
  bool keep_ = false;
};

}  // namespace weir::os
