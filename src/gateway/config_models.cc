#include "gateway/config_models.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "config/key.h"
#include "gateway/config_keys.h"
#include "gateway/config_reader.h"
#include "gateway/resilience/shed.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr std::string_view kKeys[] = {"default", "header", "tenants", "keys"};

std::optional<size_t> priority_of(std::string_view text) {
  if (text.size() != 1 || text[0] < '0' || text[0] >= '0' + static_cast<int>(kPriorities))
    return std::nullopt;
  return static_cast<size_t>(text[0] - '0');
}

using PrioritiesByName = std::map<std::string, size_t, std::less<>>;

Result<size_t> read_one(const ConfigReader& reader, const Node& node, std::string_view what) {
  const auto priority = node.kind == Node::Kind::kScalar ? priority_of(node.text) : std::nullopt;
  if (priority.has_value()) return *priority;
  return reader.wrong(node.line, fmt::format("priorities.{} must be 0, the most important, to {}",
                                             what, kPriorities - 1));
}

Status read_map(const ConfigReader& reader, const config::Member& map, PrioritiesByName& into) {
  if (map.value.kind != Node::Kind::kMap)
    return reader.wrong(map.value.line,
                        fmt::format("priorities.{0} must be a map, as {{NAME: 0}}", map.key));
  for (const config::Member& m : map.value.members) {
    WEIR_ASSIGN(into[m.key], read_one(reader, m.value, fmt::format("{}.{}", map.key, m.key)));
  }
  return {};
}

Status read_header(const ConfigReader& reader, const config::Member& m, std::string& into) {
  const bool token = m.value.kind == Node::Kind::kScalar && !m.value.text.empty() &&
                     std::all_of(m.value.text.begin(), m.value.text.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-';
                     });
  if (!token) return reader.wrong(m.line, "priorities.header must be the name of a header");
  into = m.value.text;
  return {};
}

Status read_member(const ConfigReader& reader, const config::Member& m, PriorityConfig& into) {
  if (m.key == kKeys[0]) {
    WEIR_ASSIGN(into.by_default, read_one(reader, m.value, m.key));
    return {};
  }
  if (m.key == kKeys[1]) return read_header(reader, m, into.header);
  if (m.key == kKeys[2]) return read_map(reader, m, into.tenants);
  if (m.key == kKeys[3]) return read_map(reader, m, into.keys);
  const std::vector<std::string> known(std::begin(kKeys), std::end(kKeys));
  return reader.wrong(
      m.line,
      fmt::format("unknown key \"priorities.{}\"; the nearest is \"{}\"", m.key.substr(0, 100),
                  config::nearest(m.key, std::span<const std::string>(known))));
}

}  // namespace

size_t PriorityConfig::of(std::string_view tenant, std::string_view key_id,
                          const http::Headers& headers) const {
  size_t own = by_default;
  if (const auto found = tenants.find(tenant); found != tenants.end()) own = found->second;
  if (const auto found = keys.find(key_id); found != keys.end()) own = found->second;
  if (header.empty()) return own;
  const auto said = priority_of(headers.find(header).value_or(""));
  if (!said.has_value()) return own;
  return tenant.empty() ? *said : std::max(own, *said);
}

void list_priority_keys(FileKeys& out) { list_keys("priorities.", {}, kKeys, out); }

PriorityConfig read_priorities(const ConfigReader& reader, const Node& node) {
  PriorityConfig out;
  if (node.kind != Node::Kind::kMap)
    reader.wrong(node.line, "priorities must be a map, as {default: 1, tenants: {acme: 0}}");
  for (const config::Member& m : node.members) (void)read_member(reader, m, out);
  return out;
}

}  // namespace weir::gateway
