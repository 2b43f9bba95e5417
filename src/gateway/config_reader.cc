#include "gateway/config_reader.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <span>

#include "access/keys_file.h"
#include "gateway/incoming.h"
#include "gateway/misplaced_files.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

constexpr uint64_t kMaxSecretBytes = 64 * 1024;
constexpr size_t kMaxUnknown = 10;  // keys of a map; with more of them it is another kind of map
constexpr std::string_view kSecretsElsewhere =
    ": a variable of the environment; keys never stand in this file";
constexpr std::string_view kOfSecrets[] = {"key", "token", "secret", "password"};
constexpr std::string_view kVersion = "/v1";
// What a path is seldom part of unless somebody gave a request's whole URL.
constexpr std::string_view kChat = "/chat/completions";

// Of what sounds like a secret: the key that names a secret's variable.
std::string_view nearest_of(std::string_view given, std::span<const std::string> names) {
  const auto variable = std::find_if(names.begin(), names.end(),
                                     [](const std::string& n) { return n.ends_with("_env"); });
  const bool secret = std::any_of(
      std::begin(kOfSecrets), std::end(kOfSecrets),
      [&](std::string_view part) { return given.find(part) != std::string_view::npos; });
  return secret && variable != names.end() ? *variable : config::nearest(given, names);
}

}  // namespace

Error ConfigReader::wrong(int line, const std::string& what, ErrorCode code) const {
  Error said = say_misplaced(Error{code, what, {}, 0.0}, reading_.files);
  line = std::max(line, 1);
  reading_.problems.add(line, said.message, code);
  return said.with_context(fmt::format("{}:{}", name(), line));
}

config::Settings ConfigReader::settings(std::span<const config::Key> keys, const config::Node& node,
                                        std::span<const std::string_view> apart,
                                        Status& good) const {
  // Each member is a key, a section of keys or read apart: the nearest may be any of them.
  std::vector<std::string> names(apart.begin(), apart.end());
  for (const config::Key& k : keys) names.push_back(k.path.substr(0, k.path.find('.')));
  config::Node own;
  own.kind = node.kind;
  own.line = node.line;
  size_t unknown = 0;
  for (const config::Member& m : node.members) {
    if (std::find(apart.begin(), apart.end(), m.key) != apart.end()) continue;
    if (std::find(names.begin(), names.end(), m.key) != names.end()) {
      own.members.push_back(m);
    } else if (++unknown <= kMaxUnknown) {
      const std::string_view nearest = nearest_of(m.key, names);
      good = wrong(m.line,
                   fmt::format("unknown key \"{}\"; the nearest is \"{}\"{}", m.key.substr(0, 100),
                               nearest, nearest.ends_with("_env") ? kSecretsElsewhere : ""));
    }
  }
  const size_t before = reading_.problems.count();
  config::Settings read = config::Settings::from_file(keys, own, reading_.problems);
  if (reading_.problems.count() > before) good = reading_.problems.error();
  return read;
}

Result<std::string> ConfigReader::secret(const RawSecret& raw, std::string_view what,
                                         const config::Node& map) const {
  // The last part: names of upstreams have dots as well.
  const std::string_view last = what.substr(what.rfind('.') + 1);
  const bool from_file = raw.env.empty();
  const int line = line_of(map, fmt::format("{}_{}", last, from_file ? "file" : "env"));
  std::string text;
  if (!raw.env.empty() && !raw.file.empty())
    return wrong(line, fmt::format("{0}_env and {0}_file exclude each other", what));
  if (!raw.env.empty()) {
    const auto value = environment_ ? environment_(raw.env) : std::nullopt;
    if (!value.has_value() || value->empty())
      return wrong(
          line, fmt::format("{0}_env: the variable {1} is not set; set it, or give {0}_file", what,
                            raw.env));
    text = *value;
  } else if (!raw.file.empty()) {
    const std::string key = fmt::format("{}_file", what);
    const std::string path = file(key, raw.file, line);
    const std::string weak = access::weak_permissions(path);
    if (!weak.empty())
      return wrong(line,
                   fmt::format("{}: {}: it holds a secret and {}; chmod 600 it", key, path, weak),
                   ErrorCode::kUsage);
    auto read = os::read_file(path, kMaxSecretBytes);
    if (!read.ok()) return wrong(line, fmt::format("{}: {}", key, read.error().message));
    text = std::move(*read);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (text.empty()) return wrong(line, fmt::format("{}: {} is empty", key, path));
  }
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!printable) return wrong(line, fmt::format("{}: a space or a character beyond ASCII", what));
  return text;
}

std::string ConfigReader::file(std::string_view key, const std::string& given, int line) const {
  if (given.empty()) return "";
  // An absolute path stays as it is.
  std::string path = (std::filesystem::path(name()).parent_path() / given).string();
  reading_.files.push_back({std::string(key), given, path, line});
  return path;
}

bool ConfigReader::is_name(std::string_view text) {
  constexpr std::string_view kOther = "-_.:/@";
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kOther.find(c) != std::string_view::npos;
         });
}

std::string ConfigReader::bad_name(std::string_view what) {
  return fmt::format("the name of {} has 1 to {} letters, digits and - _ . : / @", what,
                     kMaxNameBytes);
}

std::string_view ConfigReader::api_path_behind(std::string_view path) {
  for (const std::string_view of_api : kForwardedPaths)
    if (path.ends_with(of_api)) return of_api;
  for (const std::string_view of_api : {kVersion, kChat})
    if (path.ends_with(of_api)) return of_api;
  return "";
}

}  // namespace weir::gateway
