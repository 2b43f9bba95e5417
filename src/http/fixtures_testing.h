// Reads the fixtures of llhttp: bytes of messages, and what llhttp's parser says to them. Tests
// only.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/paths_testing.h"

namespace weir::http {

struct Fixture {
  std::string name;  // "file.md: heading", with #n for the n-th block below it
  std::string bytes;
  std::string log;
};

// The folder of the shared data with the fixtures of one type, "request" or "response".
inline std::string fixtures_folder(const std::string& type) {
  return weir::paths::shared("data/http/" + type);
}

// The README of the shared data says how a block becomes bytes.
inline std::string unescape(const std::string& block) {
  std::string joined;
  for (size_t i = 0; i < block.size(); ++i) {
    if (block[i] == '\\' && i + 1 < block.size() && block[i + 1] == '\n') {
      ++i;
    } else if (block[i] == '\n') {
      joined += "\r\n";
    } else {
      joined += block[i];
    }
  }
  std::string out;
  for (size_t i = 0; i < joined.size(); ++i) {
    if (joined[i] != '\\' || i + 1 == joined.size()) {
      out += joined[i];
      continue;
    }
    const char c = joined[++i];
    const size_t named = std::string("rntf").find(c);
    if (named != std::string::npos) {
      out += "\r\n\t\f"[named];
    } else if (c == 'x') {
      out += static_cast<char>(std::stoi(joined.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else if (c >= '0' && c <= '7') {
      size_t digits = 0;
      int value = 0;
      while (digits < 3 && i < joined.size() && joined[i] >= '0' && joined[i] <= '7') {
        value = value * 8 + (joined[i++] - '0');
        ++digits;
      }
      --i;
      out += static_cast<char>(value);
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

// Of the strict modes only.
inline std::vector<Fixture> read_fixtures(const std::filesystem::path& path,
                                          const std::string& type) {
  std::ifstream file(path);
  std::vector<Fixture> fixtures;
  std::string line;
  std::string heading;
  std::map<std::string, int> seen;
  bool strict = false;
  while (std::getline(file, line)) {
    if (line.starts_with("#")) heading = line.substr(line.find_first_not_of("# "));
    if (line.starts_with("<!-- meta="))
      strict = line.find("\"type\": \"" + type + "\"") != std::string::npos;
    const bool http = line == "```http";
    if (!http && line != "```log") continue;
    std::string block;
    while (std::getline(file, line) && line != "```") block += line + "\n";
    if (!strict) continue;
    if (http) {
      block.pop_back();
      std::string name = path.filename().string() + ": " + heading;
      if (const int n = ++seen[name]; n > 1) name += " #" + std::to_string(n);
      fixtures.push_back({name, unescape(block), {}});
    } else if (!fixtures.empty()) {
      fixtures.back().log = block;
    }
  }
  return fixtures;
}

// All values of span[name] in the log of the first message, joined.
inline std::string span(const std::string& log, const std::string& name) {
  std::string out;
  std::istringstream lines(log.substr(0, log.find("message complete")));
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("span[" + name + "]=\"");
    if (at != std::string::npos)
      out += line.substr(at + name.size() + 8, line.size() - at - name.size() - 9);
  }
  return out;
}

// Codes of llhttp that are not a refusal of the bytes: 5 data after "Connection: close" (we stop
// reading there), 21 and 22 pauses, 23 to 31 is checked case by case below.
inline bool llhttp_rejects(const std::string& log) {
  for (size_t at = 0; (at = log.find("error code=", at)) != std::string::npos; ++at) {
    const int code = std::atoi(log.c_str() + at + 11);
    if (code != 5 && code != 21 && code != 22) return true;
  }
  return false;
}

}  // namespace weir::http
