#include "gateway/config_reader.h"

#include <filesystem>

#include "access/keys_file.h"
#include "os/file.h"

namespace weir::gateway {
namespace {

constexpr uint64_t kMaxSecretBytes = 64 * 1024;

}  // namespace

Status ConfigReader::known(const std::vector<config::Key>& keys, const config::Node& node,
                           std::span<const std::string_view> apart) const {
  std::vector<std::string> names(apart.begin(), apart.end());
  for (const config::Key& k : keys) names.push_back(k.path.substr(0, k.path.find('.')));
  for (const config::Member& m : node.members) {
    if (std::find(names.begin(), names.end(), m.key) != names.end()) continue;
    return wrong(m.line,
                 fmt::format("unknown key \"{}\"; the nearest is \"{}\"", m.key.substr(0, 100),
                             config::nearest(m.key, std::span<const std::string>(names))));
  }
  return {};
}

Result<std::string> ConfigReader::secret(const RawSecret& raw, std::string_view what,
                                         int line) const {
  if (!raw.env.empty() && !raw.file.empty())
    return wrong(line, fmt::format("{0}_env and {0}_file exclude each other", what));
  std::string text;
  if (!raw.env.empty()) {
    const auto value = environment_ ? environment_(raw.env) : std::nullopt;
    if (!value.has_value() || value->empty())
      return wrong(line, fmt::format("{}_env: the variable {} is not set", what, raw.env));
    text = *value;
  } else if (!raw.file.empty()) {
    const std::string path = file(fmt::format("{}_file", what), raw.file);
    const std::string weak = access::weak_permissions(path);
    if (!weak.empty())
      return make_error(ErrorCode::kUsage, "{}: it holds a secret and {}; chmod 600 it", path,
                        weak);
    auto read = os::read_file(path, kMaxSecretBytes);
    if (!read.ok()) return read.error().with_context(fmt::format("{}_file", what));
    text = std::move(*read);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    if (text.empty()) return wrong(line, fmt::format("{}_file: {} is empty", what, path));
  }
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!printable) return wrong(line, fmt::format("{}: a space or a character beyond ASCII", what));
  return text;
}

std::string ConfigReader::file(std::string_view key, const std::string& given) const {
  if (given.empty()) return "";
  // An absolute path stays as it is.
  std::string path = (std::filesystem::path(name_).parent_path() / given).string();
  files_.push_back({std::string(key), given, path});
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

}  // namespace weir::gateway
