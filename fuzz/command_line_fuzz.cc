// A command line from outside: what is accepted has words with lines of the text, and words that
// are quoted read back as they were.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ops/deploy/shell.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::ops::split_commands;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto commands = split_commands(text, "f");
  if (!commands.ok()) return 0;
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  for (const auto& command : *commands) {
    for (const auto& word : command.words) {
      if (word.line < 1 || word.line > lines) std::abort();
      const auto again = split_commands("x " + weir::ops::shell_quote(word.text), "q");
      if (!again.ok() || again->size() != 1 || again->at(0).words.size() != 2 ||
          again->at(0).words[1].text != word.text)
        std::abort();
    }
  }
  return 0;
}
