// Changes of single words in the lines of a file, and the unified diff that they make.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::ops {

// Ordinary value semantics; lines from 1.
class LineEdit {
 public:
  explicit LineEdit(std::string_view text);

  // The first `word` of the line that stands between blanks, quotes, brackets or commas. False: it
  // is not there, and nothing changes.
  bool replace(int line, std::string_view word, std::string_view by);
  // The same, with its quotes and a comma after it. A line of which nothing but a list's dash and a
  // backslash is left goes away, and with it the backslash before the end of a command.
  bool remove(int line, std::string_view word);
  // Text behind the last occurrence of `word`; false: it is not there.
  bool append(int line, std::string_view word, std::string_view text);
  // A line after that one, with its indentation.
  void insert_after(int line, std::string text);

  bool is_list_item(int line) const;  // of YAML: "- word"
  bool changed() const;
  std::string text() const;
  // "--- NAME\n+++ NAME\n@@ ..." with three lines around; empty when nothing changed.
  std::string diff(std::string_view name) const;

 private:
  struct Line {
    std::string before;
    std::vector<std::string> after;  // none: it is gone
  };
  std::string* current(int line);
  size_t find(const std::string& in, std::string_view word) const;
  void drop_if_empty(int line);

  std::vector<Line> lines_;
  bool ends_with_newline_ = true;
};

}  // namespace weir::ops
