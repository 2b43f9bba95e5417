#include "ops/review/waivers.h"

#include <algorithm>

#include "config/yaml.h"
#include "ops/eval/yaml_reader.h"
#include "ops/project/project.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

constexpr size_t kMaxWaivers = 1000;

Status check_name(const YamlReader& reader, int line, std::string_view key,
                  const std::string& value, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), value) != names.end()) return {};
  return reader.at(line, fmt::format("{} \"{}\" is none; the nearest is \"{}\"", key, value,
                                     config::nearest(value, names)));
}

Result<Waiver> waiver_of(const config::Node& node, const YamlReader& reader,
                         const Checklist& checklist) {
  WEIR_TRY(reader.is_map(node, "a waiver", "item"));
  WEIR_TRY(reader.known(node, {"item", "env", "who", "why", "until"}));
  Waiver out;
  out.line = node.line;
  std::string until;
  std::string* const texts[] = {&out.item, &out.env, &out.who, &out.why, &until};
  const char* const names[] = {"item", "env", "who", "why", "until"};
  for (size_t i = 0; i < std::size(names); ++i) {
    WEIR_TRY(reader.text(node, names[i], *texts[i]));
    if (texts[i]->empty()) return reader.at(node.line, fmt::format("a waiver needs {}", names[i]));
  }
  const std::vector<std::string> envs(std::begin(kEnvironments), std::end(kEnvironments));
  WEIR_TRY(check_name(reader, node.line, "item", out.item, checklist.ids()));
  WEIR_TRY(check_name(reader, node.line, "env", out.env, envs));
  const auto day = unix_of_day(until);
  if (!day) return reader.at(node.line, "until must be a day, as 2026-12-31");
  out.until_s = *day + kDayS;
  return out;
}

}  // namespace

Result<std::vector<Waiver>> parse_waivers(std::string_view text, std::string_view name,
                                          const Checklist& checklist) {
  WEIR_ASSIGN(const config::Node root, config::parse_yaml(text, name));
  std::vector<Waiver> out;
  if (root.kind == config::Node::Kind::kNull) return out;
  const YamlReader reader(name);
  WEIR_TRY(reader.is_map(root, "the file", "waivers"));
  WEIR_TRY(reader.known(root, {"version", "waivers"}));
  WEIR_ASSIGN(const auto nodes, reader.list(root, "waivers", "waiver", kMaxWaivers));
  out.reserve(nodes.size());
  for (const config::Node& node : nodes) {
    WEIR_ASSIGN(Waiver waiver, waiver_of(node, reader, checklist));
    const bool twice = std::any_of(out.begin(), out.end(), [&](const Waiver& w) {
      return w.item == waiver.item && w.env == waiver.env;
    });
    if (twice)
      return reader.at(node.line, fmt::format("{} of {} is waived twice", waiver.item, waiver.env));
    out.push_back(std::move(waiver));
  }
  return out;
}

std::string waiver_problem(const Waiver& waiver, const Checklist& checklist, int64_t now_s) {
  if (now_s >= waiver.until_s) {
    return fmt::format("its waiver by {} expired at the end of {}", waiver.who,
                       day_of(waiver.until_s - 1));
  }
  if (waiver.until_s - now_s > (checklist.waiver_days + 1) * kDayS) {
    return fmt::format("its waiver until {} is longer than {} days", day_of(waiver.until_s - 1),
                       checklist.waiver_days);
  }
  return "";
}

}  // namespace weir::ops
