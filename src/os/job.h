// A program that runs beside this one, with its output gathered: for a time, until it says
// something, or until it is told to stop.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::os {

struct JobSpec {
  std::vector<std::string> command;  // an absolute path and arguments
  std::string folder;                // it starts in; "": this one's
  // Set in place of this process's; an empty value takes the variable away.
  std::vector<std::pair<std::string, std::string>> environment;
  bool merge = false;            // standard error into `output`, in the order of writing
  size_t max_bytes = 4U << 20U;  // of each stream; what is beyond is thrown away
};

struct JobEnd {
  enum class Why { kExited, kSignal, kTimeout, kStopped } why = Why::kExited;
  int code = 0;  // of kExited the exit code, of kSignal the signal
  std::string output, errors;
  bool cut = false;  // there was more than max_bytes
  double seconds = 0;
};

// One thread at a time. The program has a process group of its own, no standard input, and the
// signal mask that a shell would give it; the whole group is killed at the end of its time, by
// destruction, and when the thread that started it ends.
class Job {
 public:
  // Errors: kIo when it cannot run.
  static Result<Job> start(const JobSpec& spec);
  Job(Job&& other) noexcept;
  Job& operator=(Job&& other) noexcept;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job();

  // Until it ends, its time is over, or `stopped` (asked some ten times a second, may be empty)
  // says so: then the group is killed. Nothing may be called after it.
  JobEnd wait(int timeout_ms, const std::function<bool()>& stopped = {});

  // What has come of standard output once a line begins with `prefix`: that line. Errors: kIo when
  // it ends before, with the end of what it said, or takes longer.
  Result<std::string> wait_for_line(std::string_view prefix, int timeout_ms);

  // Whether it still runs. Reads what it has written, so that it does not wait for a reader.
  bool running();

  // What has come so far.
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }

 private:
  Job() = default;
  bool pump(int timeout_ms);  // false: both streams are closed
  bool reap();                // true: it has ended
  void kill_group();

  pid_t id_ = -1;
  int output_fd_ = -1, errors_fd_ = -1;
  int status_ = 0;
  bool reaped_ = false;
  size_t max_bytes_ = 0;
  std::string output_, errors_;
  bool cut_ = false;
};

}  // namespace weir::os
