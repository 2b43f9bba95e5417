#include "ops/review/checklist.h"

#include <algorithm>
#include <cassert>

#include "config/yaml.h"
#include "ops/data/embedded.h"
#include "ops/eval/yaml_reader.h"

namespace weir::ops {
namespace {

constexpr std::string_view kFile = "src/ops/review/checklist.yaml";
constexpr size_t kMaxItems = 64;

Result<ChecklistItem> item_of(const config::Node& node, const YamlReader& reader) {
  WEIR_TRY(reader.is_map(node, "an item", "id"));
  WEIR_TRY(reader.known(
      node, {"id", "title", "why", "envs", "evidence", "remedy", "source", "numbers", "rules"}));
  ChecklistItem item;
  std::string* const texts[] = {&item.id,       &item.title,  &item.why,
                                &item.evidence, &item.remedy, &item.source};
  const char* const names[] = {"id", "title", "why", "evidence", "remedy", "source"};
  for (size_t i = 0; i < std::size(names); ++i) {
    WEIR_TRY(reader.text(node, names[i], *texts[i]));
    if (texts[i]->empty()) return reader.at(node.line, fmt::format("an item needs {}", names[i]));
  }
  WEIR_TRY(reader.texts(node, "envs", 8, item.envs));
  WEIR_TRY(reader.texts(node, "rules", 64, item.rules));
  if (const config::Node* numbers = node.find("numbers")) {
    for (const config::Member& m : numbers->members) {
      double value = 0;
      WEIR_TRY(reader.number(*numbers, m.key, 0, 1e9, value));
      item.numbers[m.key] = value;
    }
  }
  return item;
}

}  // namespace

bool ChecklistItem::asked_in(std::string_view env) const {
  return std::find(envs.begin(), envs.end(), env) != envs.end();
}

double ChecklistItem::number(std::string_view name) const {
  const auto it = numbers.find(name);
  assert(it != numbers.end());
  return it == numbers.end() ? 0 : it->second;
}

const ChecklistItem* Checklist::find(std::string_view id) const {
  const auto it =
      std::find_if(items.begin(), items.end(), [&](const ChecklistItem& i) { return i.id == id; });
  return it == items.end() ? nullptr : &*it;
}

std::vector<std::string> Checklist::ids() const {
  std::vector<std::string> out;
  out.reserve(items.size());
  for (const ChecklistItem& item : items) out.push_back(item.id);
  return out;
}

Result<Checklist> parse_checklist(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const config::Node root, config::parse_yaml(text, name));
  const YamlReader reader(name);
  WEIR_TRY(reader.is_map(root, "a checklist", "items"));
  WEIR_TRY(reader.known(root, {"version", "max_age_days", "waiver_days", "items"}));
  Checklist out;
  WEIR_TRY(reader.integer(root, "max_age_days", 1, 3650, out.max_age_days));
  WEIR_TRY(reader.integer(root, "waiver_days", 1, 3650, out.waiver_days));
  WEIR_ASSIGN(const auto items, reader.list(root, "items", "item", kMaxItems));
  out.items.reserve(items.size());
  for (const config::Node& node : items) {
    WEIR_ASSIGN(ChecklistItem item, item_of(node, reader));
    if (out.find(item.id) != nullptr)
      return reader.at(node.line, fmt::format("the item \"{}\" stands twice", item.id));
    out.items.push_back(std::move(item));
  }
  return out;
}

const Checklist& built_in_checklist() {
  static const Checklist checklist = [] {
    auto read = parse_checklist(embedded_file(kFile), kFile);
    assert(read.ok());
    return read.ok() ? std::move(*read) : Checklist();
  }();
  return checklist;
}

}  // namespace weir::ops
