#include "gateway/config_models.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "config/key.h"
#include "gateway/config_keys.h"
#include "gateway/resilience/shed.h"

namespace weir::gateway {
namespace {

using config::Node;

constexpr std::string_view kKeys[] = {"default", "header", "tenants", "keys"};

Error wrong(const std::string& name, int line, const std::string& what) {
  return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name, std::max(line, 1), what);
}

std::optional<size_t> priority_of(std::string_view text) {
  if (text.size() != 1 || text[0] < '0' || text[0] >= '0' + static_cast<int>(kPriorities))
    return std::nullopt;
  return static_cast<size_t>(text[0] - '0');
}

Result<size_t> read_one(const Node& node, const std::string& name, std::string_view what) {
  const auto priority = node.kind == Node::Kind::kScalar ? priority_of(node.text) : std::nullopt;
  if (priority.has_value()) return *priority;
  return wrong(
      name, node.line,
      fmt::format("priorities.{} must be 0, the most important, to {}", what, kPriorities - 1));
}

Result<std::map<std::string, size_t, std::less<>>> read_map(const Node& node,
                                                            const std::string& name,
                                                            std::string_view what) {
  if (node.kind != Node::Kind::kMap)
    return wrong(name, node.line,
                 fmt::format("priorities.{0} must be a map, as {{NAME: 0}}", what));
  std::map<std::string, size_t, std::less<>> out;
  for (const config::Member& m : node.members) {
    WEIR_ASSIGN(out[m.key], read_one(m.value, name, fmt::format("{}.{}", what, m.key)));
  }
  return out;
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

Result<PriorityConfig> read_priorities(const Node& node, const std::string& name) {
  if (node.kind != Node::Kind::kMap)
    return wrong(name, node.line, "priorities must be a map, as {default: 1, tenants: {acme: 0}}");
  PriorityConfig out;
  for (const config::Member& m : node.members) {
    if (m.key == kKeys[0]) {
      WEIR_ASSIGN(out.by_default, read_one(m.value, name, m.key));
    } else if (m.key == kKeys[1]) {
      const bool token = m.value.kind == Node::Kind::kScalar && !m.value.text.empty() &&
                         std::all_of(m.value.text.begin(), m.value.text.end(), [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || c == '-';
                         });
      if (!token) return wrong(name, m.line, "priorities.header must be the name of a header");
      out.header = m.value.text;
    } else if (m.key == kKeys[2]) {
      WEIR_ASSIGN(out.tenants, read_map(m.value, name, m.key));
    } else if (m.key == kKeys[3]) {
      WEIR_ASSIGN(out.keys, read_map(m.value, name, m.key));
    } else {
      const std::vector<std::string> known(std::begin(kKeys), std::end(kKeys));
      return wrong(
          name, m.line,
          fmt::format("unknown key \"priorities.{}\"; the nearest is \"{}\"", m.key.substr(0, 100),
                      config::nearest(m.key, std::span<const std::string>(known))));
    }
  }
  return out;
}

}  // namespace weir::gateway
