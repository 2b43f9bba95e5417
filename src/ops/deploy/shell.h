// Command lines as a shell would split them: quotes, backslashes, lines that go on, comments,
// assignments. Nothing is expanded or run. The text may be hostile: its size and its number of
// words are bounded. Grammar: POSIX Shell Command Language, 2.2 and 2.3, without here-documents.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ops {

struct Word {
  std::string text;      // without quotes
  int line = 0;          // from 1
  bool expands = false;  // holds $NAME, $(...) or `...`, so that its value is not known here
};

struct ShellCommand {
  std::vector<Word> assignments;  // NAME=value in front of the program
  std::vector<Word> words;        // the program and its arguments; may be empty
};

struct ShellLimits {
  size_t max_bytes = 1 << 20;
  size_t max_words = 20'000;
};

// The simple commands of `text` in their order; operators (; & | && || and parentheses) separate
// them, redirections are left out. Errors: kCorrupt "NAME:LINE: ..." (a quote or substitution
// without an end, a here-document), kLimit.
Result<std::vector<ShellCommand>> split_commands(std::string_view text, std::string_view name,
                                                 int first_line = 1,
                                                 const ShellLimits& limits = {});

// `word` as a shell reads it back as one word.
std::string shell_quote(std::string_view word);

}  // namespace weir::ops
