#include "ops/engines/renames.h"

#include <cassert>

#include "config/yaml.h"
#include "ops/data/embedded.h"

namespace weir::ops {
namespace {

using config::Node;

std::string text_of(const Node& n, std::string_view key) {
  const Node* v = n.find(key);
  return v == nullptr ? "" : v->text;
}

}  // namespace

Result<std::vector<Rename>> parse_renames(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const Node root, config::parse_yaml(text, name));
  const Node* list = root.find("renames");
  if (list == nullptr)
    return make_error(ErrorCode::kCorrupt, "{}:1: must have a list of renames", name);
  std::vector<Rename> out;
  for (const Node& n : list->items) {
    Rename r{text_of(n, "engine"), text_of(n, "flag"),          text_of(n, "since"),
             text_of(n, "to"),     text_of(n, "instead"),       text_of(n, "still_taken") == "true",
             text_of(n, "source"), text_of(n, "read") == "true"};
    if (r.engine.empty() || r.flag.empty() || r.source.empty() ||
        r.to.empty() == r.instead.empty()) {
      return make_error(ErrorCode::kCorrupt,
                        "{}:{}: a rename needs engine, flag, source and one of to and instead",
                        name, n.line);
    }
    out.push_back(std::move(r));
  }
  return out;
}

const std::vector<Rename>& renames() {
  static constexpr std::string_view kFile = "data/engines/renames.yaml";
  static const std::vector<Rename> all = [] {
    auto r = parse_renames(embedded_file(kFile), kFile);
    assert(r.ok());
    return r.ok() ? std::move(*r) : std::vector<Rename>();
  }();
  return all;
}

const Rename* find_rename(std::string_view engine, std::string_view flag) {
  for (const Rename& r : renames()) {
    if (r.engine == engine && r.flag == flag) return &r;
  }
  return nullptr;
}

}  // namespace weir::ops
