#include "ops/quantize/journal.h"

#include <charconv>

#include "ops/eval/fingerprint.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kKind = "weir.quantize.unfinished";
// A fingerprint has some eight values of at most a file name's length.
constexpr size_t kMaxHeadBytes = 16 << 10;
constexpr size_t kMaxLineBytes = 128;

Error wrong(std::string_view what) {
  return make_error(ErrorCode::kCorrupt, "the journal's first line {}", what);
}

Result<RunFingerprint> parse_head(std::string_view line) {
  if (line.size() > kMaxHeadBytes)
    return wrong(fmt::format("has {} bytes, the most is {}", line.size(), kMaxHeadBytes));
  auto root = Json::parse(line, {.max_depth = 4});
  if (!root.ok()) return wrong("is no JSON: " + root.error().message);
  const Json* kind = root->find("kind");
  const Json* run = root->find("run");
  if (kind == nullptr || !kind->is_string() || kind->as_string() != kKind)
    return wrong(fmt::format("is not of kind '{}'", kKind));
  if (run == nullptr || !run->is_array()) return wrong("has no list 'run'");
  RunFingerprint out;
  for (const Json& pair : run->items()) {
    if (!pair.is_array() || pair.size() != 2 || !pair.items()[0].is_string() ||
        !pair.items()[1].is_string())
      return wrong("has something in 'run' that is no pair of strings");
    out.emplace_back(pair.items()[0].as_string(), pair.items()[1].as_string());
  }
  return out;
}

std::optional<Hash128> parse_hex(std::string_view text) {
  constexpr size_t kHalf = 16;  // digits of 64 bits
  Hash128 hash;
  if (text.size() != 2 * kHalf) return std::nullopt;
  uint64_t* const halves[] = {&hash.high, &hash.low};
  for (size_t i = 0; i < 2; ++i) {
    const std::string_view part = text.substr(i * kHalf, kHalf);
    const auto [stop, error] = std::from_chars(part.data(), part.data() + kHalf, *halves[i], 16);
    if (error != std::errc() || stop != part.data() + kHalf) return std::nullopt;
  }
  return hash;
}

std::optional<Hash128> parse_line(std::string_view line, size_t tensor) {
  if (line.size() > kMaxLineBytes) return std::nullopt;
  const auto root = Json::parse(line, {.max_depth = 2});
  if (!root.ok()) return std::nullopt;
  const Json* number = root->find("tensor");
  const Json* hash = root->find("hash");
  if (number == nullptr || !number->is_int() || number->as_int() != static_cast<int64_t>(tensor) ||
      hash == nullptr || !hash->is_string())
    return std::nullopt;
  return parse_hex(hash->as_string());
}

}  // namespace

std::string journal_head(const RunFingerprint& run) {
  Json root = Json::object();
  root.set("kind", kKind);
  Json pairs = Json::array();
  for (const auto& [name, value] : run) {
    Json pair = Json::array();
    pair.push_back(name);
    pair.push_back(value);
    pairs.push_back(std::move(pair));
  }
  root.set("run", std::move(pairs));
  return root.dump() + "\n";
}

std::string journal_line(size_t tensor, const Hash128& hash) {
  return fmt::format("{{\"tensor\": {}, \"hash\": \"{}\"}}\n", tensor, hex(hash));
}

Result<std::optional<Journal>> parse_journal(std::string_view text) {
  size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::optional<Journal>();
  Journal journal;
  WEIR_ASSIGN(journal.run, parse_head(text.substr(0, end)));
  journal.ends.push_back(end + 1);
  for (;;) {
    const size_t begin = end + 1;
    end = text.find('\n', begin);
    if (end == std::string_view::npos) break;
    const auto hash = parse_line(text.substr(begin, end - begin), journal.tensors.size());
    if (!hash) break;
    journal.tensors.push_back(*hash);
    journal.ends.push_back(end + 1);
  }
  return std::optional(std::move(journal));
}

std::optional<std::string> difference(const RunFingerprint& was, const RunFingerprint& is) {
  for (size_t i = 0; i < is.size(); ++i) {
    if (i >= was.size() || was[i].first != is[i].first)
      return fmt::format("the kind of journal ({} is missing)", is[i].first);
    if (was[i].second != is[i].second)
      return fmt::format("{} (was {}, is {})", is[i].first, was[i].second, is[i].second);
  }
  if (was.size() != is.size()) return "the kind of journal (it says more)";
  return std::nullopt;
}

}  // namespace weir::ops
