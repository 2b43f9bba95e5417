#include "ops/intake/intake.h"

#include <algorithm>
#include <array>
#include <utility>

#include "os/file.h"
#include "plot/text.h"
#include "text/json.h"

namespace weir::ops {
namespace {

constexpr std::array kOrigins = {std::pair{Origin::kGiven, "given"},
                                 std::pair{Origin::kMeasured, "measured"},
                                 std::pair{Origin::kInferred, "inferred"}};
constexpr std::string_view kMissing = "missing";
constexpr std::array<std::string_view, 4> kFieldKeys = {"value", "unit", "origin", "evidence"};

Error unknown_field(std::string_view path) {
  return make_error(ErrorCode::kUsage, "there is no field \"{}\"; the nearest is \"{}\"", path,
                    nearest_intake_field(path));
}

std::optional<Origin> parse_origin(std::string_view name) {
  for (const auto& [origin, text] : kOrigins) {
    if (name == text) return origin;
  }
  return std::nullopt;
}

// Reads the map of one group.
class GroupReader {
 public:
  GroupReader(std::string_view name, Intake& out) : name_(name), out_(out) {}

  Status field(const std::string& path, const config::Member& m) {
    const IntakeField* field = find_intake_field(path);
    if (field == nullptr) return at(m.line, unknown_field(path).message);
    if (m.value.kind != config::Node::Kind::kMap) return value(*field, m.value, Origin::kGiven, "");
    for (const config::Member& part : m.value.members) {
      if (std::find(kFieldKeys.begin(), kFieldKeys.end(), part.key) == kFieldKeys.end()) {
        return at(part.line,
                  fmt::format("{} has no \"{}\"; it has value, unit, origin and evidence", path,
                              part.key));
      }
      const bool scalar = part.value.kind == config::Node::Kind::kScalar ||
                          part.value.kind == config::Node::Kind::kNull || part.key == "value";
      if (!scalar) return at(part.line, fmt::format("{}.{} must be a text", path, part.key));
    }
    return parts(*field, m.value);
  }

  Status at(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

 private:
  static std::string part(const config::Node& map, std::string_view key) {
    const config::Node* node = map.find(key);
    return node == nullptr ? "" : node->text;
  }

  Status parts(const IntakeField& field, const config::Node& map) {
    const std::string& path = field.key.path;
    const std::string unit = part(map, "unit");
    if (!unit.empty() && unit != field.key.spec.unit) {
      return at(map.line,
                fmt::format("{} is in {}, not {}", path,
                            field.key.spec.unit.empty() ? "no unit" : field.key.spec.unit, unit));
    }
    const std::string origin = part(map, "origin");
    const std::optional<Origin> known = parse_origin(origin);
    if (!known && !origin.empty() && origin != kMissing) {
      return at(map.line, fmt::format("{}.origin must be given, measured, inferred or missing, not "
                                      "\"{}\"",
                                      path, origin));
    }
    const config::Node* node = map.find("value");
    if (node == nullptr || node->kind == config::Node::Kind::kNull) {
      if (!known) return {};
      return at(map.line, fmt::format("{} is said to be {} and has no value", path, origin));
    }
    // A line that was missing and got a value by hand is given.
    return value(field, *node, known.value_or(Origin::kGiven), part(map, "evidence"));
  }

  Status value(const IntakeField& field, const config::Node& node, Origin origin,
               std::string evidence) {
    if (node.kind == config::Node::Kind::kNull) return {};
    auto parsed = config::parse_value(field.key, node);
    if (!parsed.ok())
      return at(node.line, fmt::format("{} {}", field.key.path, parsed.error().message));
    return out_.set(field.key.path, std::move(*parsed), origin, std::move(evidence));
  }

  std::string_view name_;
  Intake& out_;
};

// Of a value's text and of an evidence: all of them together stay below what read_intake takes.
constexpr size_t kMaxTextBytes = 2048;

// A text is a line that people read and that reads back. What a person gives is refused where it is
// none; of what stands in files and answers, its control characters are marked.
Status check_line(std::string& text, Origin origin) {
  if (origin != Origin::kGiven) text = plot::printable(text);
  if (text.size() > kMaxTextBytes || plot::printable(text) != text) {
    return make_error(ErrorCode::kUsage,
                      "must be one line of UTF-8 without control characters, of at most {} bytes",
                      kMaxTextBytes);
  }
  return {};
}

Status check_lines(config::Value& value, Origin origin) {
  if (auto* text = std::get_if<std::string>(&value)) return check_line(*text, origin);
  if (auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (std::string& item : *list) WEIR_TRY(check_line(item, origin));
  }
  return {};
}

// For people: what is too long ends in "…".
std::string evidence_line(std::string_view text) {
  std::string line = plot::printable(text);
  if (line.size() <= kMaxTextBytes) return line;
  size_t end = kMaxTextBytes - 3;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80) --end;
  return line.substr(0, end) + "…";
}

std::string group_of(std::string_view path) { return std::string(path.substr(0, path.find('.'))); }

void append_field(std::string& out, const IntakeField& field, const IntakeValue* value) {
  const std::string name = field.key.path.substr(field.key.path.find('.') + 1);
  std::string line =
      fmt::format("  {}: {{value: {}", name,
                  value == nullptr ? "null" : config::show_json(field.key, value->value));
  if (!field.key.spec.unit.empty())
    line += fmt::format(", unit: {}", text::json_quote(field.key.spec.unit));
  line += fmt::format(", origin: {}", value == nullptr ? kMissing : origin_name(value->origin));
  if (value != nullptr && !value->evidence.empty())
    line += fmt::format(", evidence: {}", text::json_quote(value->evidence));
  out += line + "}";
  if (value == nullptr) out += fmt::format("  # {}", field.question);
  out += "\n";
}

// Fields that say nothing of a deployment of this kind: the machines behind a hosted API, links
// between devices or machines where there is one, prices where nothing is rented.
bool beside_the_point(std::string_view path, const Intake& intake) {
  const auto is = [&](std::string_view field, double value) {
    return intake.number(field) == value;
  };
  if (intake.text("stack.engine") == "hosted") {
    constexpr std::string_view kTheirs[] = {
        "stack.engine_version",  "stack.batching",     "stack.prefix_cache",
        "stack.tensor_parallel", "stack.replicas",     "stack.autoscaling",
        "model.precision",       "model.parameters_b", "model.tokenizer"};
    return path.starts_with("hardware.") ||
           std::find(std::begin(kTheirs), std::end(kTheirs), path) != std::end(kTheirs);
  }
  const bool no_accelerator = is("hardware.accelerators_per_node", 0);
  if (path == "stack.tensor_parallel" || path == "hardware.storage_gb_per_s") return no_accelerator;
  if (path == "hardware.interconnect")
    return no_accelerator || is("hardware.accelerators_per_node", 1);
  if (path == "hardware.rdma") return no_accelerator || is("hardware.nodes", 1);
  return false;
}

}  // namespace

std::string_view origin_name(Origin origin) {
  for (const auto& [known, text] : kOrigins) {
    if (known == origin) return text;
  }
  return "";
}

Status Intake::set_text(std::string_view path, std::string_view value, Origin origin,
                        std::string evidence) {
  const IntakeField* field = find_intake_field(path);
  if (field == nullptr) return unknown_field(path);
  auto parsed = config::parse_value(field->key, value);
  if (!parsed.ok()) return parsed.error().with_context(std::string(path));
  return set(path, std::move(*parsed), origin, std::move(evidence));
}

Status Intake::set(std::string_view path, config::Value value, Origin origin,
                   std::string evidence) {
  const IntakeField* field = find_intake_field(path);
  if (field == nullptr) return unknown_field(path);
  if (const auto* i = std::get_if<int64_t>(&value); i && field->key.type == config::Type::kNumber)
    value = static_cast<double>(*i);
  if (value.index() != static_cast<size_t>(field->key.type)) {
    return make_error(ErrorCode::kUsage, "{} must be {}", path, config::describe(field->key));
  }
  // Range and choices are those of the text.
  if (field->key.type != config::Type::kList) {
    auto parsed = config::parse_value(field->key, config::show(field->key, value));
    if (!parsed.ok()) return parsed.error().with_context(std::string(path));
  }
  if (const Status lines = check_lines(value, origin); !lines.ok())
    return lines.error().with_context(std::string(path));
  evidence = evidence_line(evidence);
  values_.insert_or_assign(std::string(path),
                           IntakeValue{std::move(value), origin, std::move(evidence)});
  return {};
}

void Intake::erase(std::string_view path) {
  if (const auto it = values_.find(path); it != values_.end()) values_.erase(it);
}

const IntakeValue* Intake::find(std::string_view path) const {
  const auto it = values_.find(path);
  return it == values_.end() ? nullptr : &it->second;
}

std::optional<double> Intake::number(std::string_view path) const {
  const IntakeValue* v = find(path);
  if (v == nullptr) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(&v->value)) return static_cast<double>(*i);
  const auto* d = std::get_if<double>(&v->value);
  return d == nullptr ? std::nullopt : std::optional(*d);
}

std::optional<std::string> Intake::text(std::string_view path) const {
  const IntakeValue* v = find(path);
  const auto* s = v == nullptr ? nullptr : std::get_if<std::string>(&v->value);
  return s == nullptr ? std::nullopt : std::optional(*s);
}

std::optional<bool> Intake::flag(std::string_view path) const {
  const IntakeValue* v = find(path);
  const auto* b = v == nullptr ? nullptr : std::get_if<bool>(&v->value);
  return b == nullptr ? std::nullopt : std::optional(*b);
}

std::vector<const IntakeField*> Intake::missing() const {
  std::vector<const IntakeField*> out;
  for (const IntakeField& f : intake_fields()) {
    if (f.required && find(f.key.path) == nullptr && !beside_the_point(f.key.path, *this))
      out.push_back(&f);
  }
  return out;
}

std::vector<std::string> Intake::merge(const Intake& other) {
  std::vector<std::string> differing;
  for (const auto& [path, theirs] : other.values_) {
    const auto it = values_.find(path);
    if (it == values_.end()) {
      values_.emplace(path, theirs);
      continue;
    }
    if (it->second.value != theirs.value) differing.push_back(path);
    if (theirs.origin <= it->second.origin) it->second = theirs;
  }
  return differing;
}

Result<Intake> parse_intake(std::string_view text, std::string_view name) {
  WEIR_ASSIGN(const config::Node root, config::parse_yaml(text, name));
  Intake out;
  GroupReader reader(name, out);
  if (root.kind == config::Node::Kind::kNull) return out;
  if (root.kind != config::Node::Kind::kMap) {
    return make_error(ErrorCode::kCorrupt, "{}:{}: must be a map of groups, not {}", name,
                      root.line, root.kind_name());
  }
  for (const config::Member& group : root.members) {
    if (group.key == "version") {
      if (group.value.text != "1") {
        return make_error(ErrorCode::kCorrupt, "{}:{}: version must be 1, not \"{}\"", name,
                          group.line, group.value.text);
      }
      continue;
    }
    const auto groups = intake_groups();
    if (std::none_of(groups.begin(), groups.end(),
                     [&](const IntakeGroup& g) { return g.name == group.key; })) {
      return make_error(ErrorCode::kCorrupt,
                        "{}:{}: there is no group \"{}\"; there are model, traffic, slo, stack, "
                        "hardware, constraints and observed",
                        name, group.line, group.key);
    }
    if (group.value.kind == config::Node::Kind::kNull) continue;
    if (group.value.kind != config::Node::Kind::kMap) {
      return make_error(ErrorCode::kCorrupt, "{}:{}: {} must be a map of fields, not {}", name,
                        group.line, group.key, group.value.kind_name());
    }
    for (const config::Member& m : group.value.members)
      WEIR_TRY(reader.field(fmt::format("{}.{}", group.key, m.key), m));
  }
  return out;
}

Result<Intake> read_intake(const std::string& path) {
  constexpr uint64_t kMaxBytes = 1 << 20;
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  return parse_intake(text, path);
}

std::string intake_yaml(const Intake& intake) {
  std::string out =
      "# What is known of the deployment: weir intake fills it, weir advise and weir plan read "
      "it.\n"
      "# origin: given (by a person), measured, inferred, or missing (fill the value in).\n"
      "version: 1\n";
  for (const IntakeGroup& group : intake_groups()) {
    std::string fields;
    for (const IntakeField& f : intake_fields()) {
      if (group_of(f.key.path) != group.name) continue;
      const IntakeValue* value = intake.find(f.key.path);
      if (value != nullptr || f.required) append_field(fields, f, value);
    }
    if (!fields.empty()) out += fmt::format("\n# {}\n{}:\n{}", group.title, group.name, fields);
  }
  return out;
}

}  // namespace weir::ops
