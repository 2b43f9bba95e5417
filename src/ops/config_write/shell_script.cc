#include "ops/config_write/shell_script.h"

#include <algorithm>
#include <cctype>

#include "ops/config_write/yaml_text.h"

namespace weir::ops {
namespace {

const ConfigLine* find_line(const std::vector<ConfigLine>& lines, std::string_view key) {
  const auto it =
      std::find_if(lines.begin(), lines.end(), [&](const ConfigLine& l) { return l.key == key; });
  return it == lines.end() ? nullptr : &*it;
}

std::string shown(const ConfigLine& l) { return l.value.empty() ? "on" : l.value; }

}  // namespace

std::string script_word(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-_./:=,@%+").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shell_reasons(const std::vector<ConfigLine>& lines) {
  std::string out;
  for (const ConfigLine& l : lines) {
    const std::string what =
        l.key.empty() ? l.value : l.key + (l.value.empty() ? "" : " " + l.value);
    out += comment_lines(what + ": " + l.reason(), 0);
  }
  return out;
}

std::string shell_command(std::string_view first, const std::vector<std::string>& program,
                          const std::vector<ConfigLine>& lines) {
  std::string out(first);
  for (size_t i = 0; i < program.size(); ++i) out += (i > 0 ? " " : "") + script_word(program[i]);
  for (const ConfigLine& l : lines) {
    out += " \\\n  ";
    if (!l.key.empty()) out += l.key;
    if (!l.key.empty() && !l.value.empty()) out += " ";
    if (!l.value.empty()) out += script_word(l.value);
  }
  return out + "\n";
}

std::vector<EnvironmentDifference> line_differences(const std::vector<ConfigLine>& base,
                                                    const std::vector<ConfigLine>& value,
                                                    const std::string& file) {
  std::vector<EnvironmentDifference> out;
  for (const ConfigLine& l : value) {
    const ConfigLine* b = find_line(base, l.key);
    if (b != nullptr && b->value == l.value) continue;
    out.push_back({file, l.key, b == nullptr ? "" : shown(*b), shown(l), l.reason()});
  }
  for (const ConfigLine& b : base) {
    if (find_line(value, b.key) == nullptr) out.push_back({file, b.key, shown(b), "", ""});
  }
  return out;
}

}  // namespace weir::ops
