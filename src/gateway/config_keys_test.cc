#include "gateway/config_keys.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include <fmt/ranges.h>

#include "base/paths_testing.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

constexpr char kPage[] = "docs/gateway-keys.md";
constexpr uint64_t kMaxPageBytes = 1 << 20;

// The first cells of a key's row: "type | default | bounds".
std::string cells_of(const config::Key& key) {
  constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
      {"_ms", "ms"},           {"_s", "s"},         {"_hours", "hours"},  {"_days", "days"},
      {"_minutes", "minutes"}, {"_bytes", "bytes"}, {"_tokens", "tokens"}};
  constexpr std::string_view kTypes[] = {"true, false", "integer", "number", "text", "texts"};
  std::string type(kTypes[static_cast<size_t>(key.type)]);
  for (const auto& [ending, unit] : kUnits)
    if (key.type == config::Type::kInt && key.path.ends_with(ending))
      type += fmt::format(", {}", unit);
  std::string fallback = "–";
  if (const auto* b = std::get_if<bool>(&key.fallback)) fallback = *b ? "true" : "false";
  if (const auto* d = std::get_if<double>(&key.fallback)) fallback = fmt::format("{:.15g}", *d);
  if (const auto* i = std::get_if<int64_t>(&key.fallback); i != nullptr && *i != INT64_MAX)
    fallback = std::to_string(*i);
  if (const auto* t = std::get_if<std::string>(&key.fallback); t != nullptr && !t->empty())
    fallback = *t;
  std::string bounds = "–";
  if (!key.spec.choices.empty()) bounds = fmt::format("{}", fmt::join(key.spec.choices, ", "));
  if (std::isfinite(key.spec.min) && std::isfinite(key.spec.max))
    bounds = fmt::format("{:.15g} to {:.15g}", key.spec.min, key.spec.max);
  return fmt::format("{} | {} | {}", type, fallback, bounds);
}

// "| `key` | type | default | bounds | meaning |" by key: what stands between key and meaning.
std::map<std::string, std::string> rows_of(const std::string& page) {
  std::map<std::string, std::string> rows;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kBegin = "| `";
    constexpr std::string_view kBehindKey = "` | ";
    const size_t end = line.find(kBehindKey);
    if (!line.starts_with(kBegin) || end == std::string::npos) continue;
    size_t last = end + kBehindKey.size();
    for (int cell = 0; cell < 3 && last != std::string::npos; ++cell)
      last = line.find(" | ", last + 1);
    const std::string key = line.substr(kBegin.size(), end - kBegin.size());
    EXPECT_NE(last, std::string::npos) << "a row has five cells: " << line;
    if (last == std::string::npos) continue;
    EXPECT_GT(line.size(), last + 6) << "no meaning: " << line;
    const size_t from = end + kBehindKey.size();
    EXPECT_TRUE(rows.emplace(key, line.substr(from, last - from)).second) << "twice: " << key;
  }
  return rows;
}

TEST(GatewayKeys, EachKeyOfTheReadersHasARowWithItsDefaultAndBoundsAndNoOtherHas) {
  const auto page = os::read_file(paths::repository(kPage), kMaxPageBytes);
  ASSERT_TRUE(page.ok()) << page.error().message;
  std::map<std::string, std::string> rows = rows_of(*page);
  for (const FileKey& key : gateway_file_keys()) {
    const std::string wanted = key.value.has_value() ? cells_of(*key.value) : "";
    const auto row = rows.find(key.path);
    if (row == rows.end()) {
      ADD_FAILURE() << kPage << " lacks: | `" << key.path << "` | " << wanted << " |";
      continue;
    }
    EXPECT_TRUE(wanted.empty() || row->second == wanted)
        << key.path << " is | " << wanted << " |, not | " << row->second << " |";
    rows.erase(row);
  }
  for (const auto& [key, cells] : rows)
    ADD_FAILURE() << kPage << " has a key that no reader takes: " << key;
}

TEST(GatewayKeys, NoKeyIsThereTwice) {
  std::map<std::string, int> seen;
  for (const FileKey& key : gateway_file_keys()) EXPECT_EQ(++seen[key.path], 1) << key.path;
  EXPECT_GT(seen.size(), 150U);
}

}  // namespace
}  // namespace weir::gateway
