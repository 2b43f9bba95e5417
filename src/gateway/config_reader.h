// What the readers of gateway.yaml's parts share. Internal to gateway/.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/table.h"
#include "config/yaml.h"
#include "gateway/config.h"

// A field of a struct, for Table::add.
#define WEIR_FIELD(type, path) \
  [](type & o) -> auto& { return o.path; }

namespace weir::gateway {

inline constexpr double kDayMs = 86'400'000;
inline constexpr size_t kMaxNameBytes = 128;

// Where a secret stands.
struct RawSecret {
  std::string env;
  std::string file;
};

// Errors are kCorrupt, "NAME:LINE: what is wrong", but for a file that others can read (kUsage).
class ConfigReader {
 public:
  // All outlive it, and its copies. files: where the files that are named are noted.
  ConfigReader(const std::string& name, const Environment& environment,
               std::vector<NamedFile>& files)
      : name_(name), environment_(environment), files_(files) {}

  Error wrong(int line, const std::string& what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, std::max(line, 1), what);
  }
  // Whether each member is a key, a section of keys or read apart.
  Status known(const std::vector<config::Key>& keys, const config::Node& node,
               std::span<const std::string_view> apart) const;

  // Those of `node` but for the members that are read apart.
  template <typename T>
  Result<T> fields(const config::Table<T>& table, const config::Node& node,
                   std::span<const std::string_view> apart = {}) const {
    if (node.kind != config::Node::Kind::kMap)
      return wrong(node.line, fmt::format("must be a map, not {}", node.kind_name()));
    WEIR_TRY(known(table.keys(), node, apart));
    config::Sources sources;
    sources.file_name = name_;
    sources.file = node;
    std::erase_if(sources.file.members, [&](const config::Member& m) {
      return std::find(apart.begin(), apart.end(), m.key) != apart.end();
    });
    WEIR_ASSIGN(const config::Settings s, config::Settings::resolve(table.keys(), sources));
    return table.make(s);
  }

  // "" when there is none. what: the key without its _env or _file.
  Result<std::string> secret(const RawSecret& raw, std::string_view what, int line) const;
  // The path that the key names, from the folder of the file on; "" stays.
  std::string file(std::string_view key, const std::string& given) const;
  const std::string& name() const { return name_; }
  const Environment& environment() const { return environment_; }

  // Letters, digits and "-_.:/@": names appear in metrics, logs and headers.
  static bool is_name(std::string_view text);
  static std::string bad_name(std::string_view what);

 private:
  const std::string& name_;
  const Environment& environment_;
  std::vector<NamedFile>& files_;
};

// The map under upstreams; null: there is none. line: of what it stands in.
Result<std::vector<UpstreamConfig>> read_upstreams(const ConfigReader& reader,
                                                   const config::Node* node, int line);

// A map under endpoints: dns or kubernetes.
Status read_discovery(const ConfigReader& reader, const config::Node& node, UpstreamConfig& u);

}  // namespace weir::gateway
