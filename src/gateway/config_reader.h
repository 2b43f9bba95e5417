// What the readers of gateway.yaml's parts share. Internal to gateway/.
//
// A mistake is noted where it is found; its Error then ends the smallest part that cannot be read
// without, such as a target, a rule, an upstream, and whoever reads a list of parts goes on with
// the next. What rests on a part that is broken is not judged, so that one mistake is told once.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/problems.h"
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

// The part of the keys at the top that have no reader of their own: listen, admin, keys_file,
// cache.
inline constexpr std::string_view kHead = "head";

// What a reading of the file gathers beside the configuration.
struct Reading {
  explicit Reading(config::Problems& p) : problems(p) {}
  config::Problems& problems;                 // outlives it
  std::vector<NamedFile> files;               // in the order in which they were met
  std::set<std::string, std::less<>> broken;  // parts: kHead, "prices", "rules", "models.NAME"
};

// Errors are kCorrupt, "NAME:LINE: what is wrong", but for a file that others can read (kUsage);
// all are noted.
class ConfigReader {
 public:
  // Both outlive it, and its copies, which note into the same reading.
  ConfigReader(const Environment& environment, Reading& reading)
      : environment_(environment), reading_(reading) {}

  Error wrong(int line, const std::string& what, ErrorCode code = ErrorCode::kCorrupt) const;

  // Those of `node` but for the members that are read apart. Error: the last mistake.
  template <typename T>
  Result<T> fields(const config::Table<T>& table, const config::Node& node,
                   std::span<const std::string_view> apart = {}) const {
    if (node.kind != config::Node::Kind::kMap)
      return wrong(node.line, fmt::format("must be a map, not {}", node.kind_name()));
    Status good;
    T read = fields_or_defaults(table, node, apart, good);
    WEIR_TRY(good);
    return read;
  }
  // What is wrong has its default; good: the last mistake. Precondition: the node is a map.
  template <typename T>
  T fields_or_defaults(const config::Table<T>& table, const config::Node& node,
                       std::span<const std::string_view> apart, Status& good) const {
    return table.make(settings(table.keys(), node, apart, good));
  }

  // "" when there is none. what: the key without its _env or _file, as "admin.token"; map: where
  // its last part stands.
  Result<std::string> secret(const RawSecret& raw, std::string_view what,
                             const config::Node& map) const;
  // The path that the key, which stands in the line, names, from the folder of the file on; ""
  // stays.
  std::string file(std::string_view key, const std::string& given, int line) const;
  const std::string& name() const { return reading_.problems.file(); }
  const Environment& environment() const { return environment_; }

  void set_broken(std::string_view part) const { reading_.broken.emplace(part); }
  bool is_broken(std::string_view part) const { return reading_.broken.contains(part); }

  // Letters, digits and "-_.:/@": names appear in metrics, logs and headers.
  static bool is_name(std::string_view text);
  static std::string bad_name(std::string_view what);
  // What a path of an upstream ends in that requests bring themselves, as "/v1" or
  // "/v1/chat/completions"; "": nothing of it.
  static std::string_view api_path_behind(std::string_view path);

 private:
  config::Settings settings(std::span<const config::Key> keys, const config::Node& node,
                            std::span<const std::string_view> apart, Status& good) const;

  const Environment& environment_;
  Reading& reading_;
};

// The map under upstreams, one at least; empty: there is none that could be read. One that is
// broken is there with its name. line: of what it stands in.
std::vector<UpstreamConfig> read_upstreams(const ConfigReader& reader, const config::Node* node,
                                           int line);

// A map under endpoints: dns or kubernetes.
Status read_discovery(const ConfigReader& reader, const config::Node& node, UpstreamConfig& u);

// The list under prices into config.prices, and their currency, once upstreams are read. Broken
// when anything is wrong with it.
void read_prices(const ConfigReader& reader, const config::Node& node, GatewayConfig& config);

}  // namespace weir::gateway
