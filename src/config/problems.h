// What is wrong with a file of configuration, for readers that go on behind a mistake and tell all
// of them at once.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace weir::config {

struct Problem {
  int line = 0;         // from 1; 0: of the file as a whole
  std::string message;  // what is wrong and what to do about it, without file and line
  ErrorCode code = ErrorCode::kCorrupt;
};

// One thread.
class Problems {
 public:
  // That are kept: the first ones by line. More are seldom mistakes of their own.
  static constexpr size_t kMost = 20;

  // file: as the user gave it.
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void add(int line, std::string message, ErrorCode code = ErrorCode::kCorrupt);
  // An error that says where: "FILE:LINE: what is wrong". Of another form: of the file as a whole.
  void add(const Error& error);

  bool empty() const { return problems_.empty(); }
  // With those that were not kept.
  size_t count() const { return problems_.size() + left_out_; }
  size_t left_out() const { return left_out_; }
  const std::string& file() const { return file_; }
  // By line; those of one line as they were found.
  const std::vector<Problem>& all() const { return problems_; }
  // All in one, "FILE:LINE: what is wrong" each on a line of its own. Its code is theirs where they
  // have the same, else kCorrupt. Precondition: !empty().
  Error error() const;

 private:
  std::string file_;
  std::vector<Problem> problems_;
  size_t left_out_ = 0;
};

}  // namespace weir::config
