// The rules of gateway.yaml.
#include <array>
#include <charconv>

#include <fmt/ranges.h>

#include "gateway/config_keys.h"
#include "gateway/config_reader.h"

namespace weir::gateway {
namespace {

using config::Node;
using Kind = HeaderCondition::Kind;

constexpr std::string_view kApart[] = {"headers", "time"};
constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

struct RawTime {
  std::vector<std::string> days;
  std::string from = "00:00";
  std::string to = "24:00";
  int64_t utc_offset_minutes = 0;
};

config::Table<Rule> rule_table() {
  config::Table<Rule> t;
  t.add("name", "", WEIR_FIELD(Rule, name), {});
  t.add("to", "", WEIR_FIELD(Rule, target), {});
  t.add("tenants", "", WEIR_FIELD(Rule, tenants), {});
  t.add("routes", "", WEIR_FIELD(Rule, routes), {});
  t.add("models", "", WEIR_FIELD(Rule, models), {});
  t.add("min_input_tokens", "", WEIR_FIELD(Rule, min_input_tokens), {.min = 0, .max = 1e12});
  t.add("max_input_tokens", "", WEIR_FIELD(Rule, max_input_tokens), {.min = 0, .max = 1e12});
  return t;
}

config::Table<RawTime> time_table() {
  config::Table<RawTime> t;
  t.add("days", "", WEIR_FIELD(RawTime, days), {});
  t.add("from", "", WEIR_FIELD(RawTime, from), {});
  t.add("to", "", WEIR_FIELD(RawTime, to), {});
  t.add("utc_offset_minutes", "", WEIR_FIELD(RawTime, utc_offset_minutes),
        {.min = -840, .max = 840});
  return t;
}

// "06:30" as minutes of the day; -1: no time.
int minutes_of(std::string_view text) {
  int hour = 0;
  int minute = 0;
  if (text.size() != 5 || text[2] != ':') return -1;
  const auto two = [](std::string_view digits, int& out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + 2, out);
    return error == std::errc() && end == digits.data() + 2 && out >= 0;
  };
  if (!two(text.substr(0, 2), hour) || !two(text.substr(3), minute) || minute > 59) return -1;
  const int of_day = hour * 60 + minute;
  return of_day <= 1440 ? of_day : -1;
}

// "*": there is one; nothing: there is none; "a*" and "*a": begins and ends so; else as it stands.
HeaderCondition condition_of(const std::string& name, const Node& value) {
  HeaderCondition c;
  c.name = name;
  const std::string& text = value.text;
  if (value.kind == Node::Kind::kNull) {
    c.kind = Kind::kAbsent;
  } else if (text == "*") {
    c.kind = Kind::kPresent;
  } else if (text.ends_with('*')) {
    c.kind = Kind::kPrefix;
    c.value = text.substr(0, text.size() - 1);
  } else if (text.starts_with('*')) {
    c.kind = Kind::kSuffix;
    c.value = text.substr(1);
  } else {
    c.kind = Kind::kExact;
    c.value = text;
  }
  return c;
}

class RulesReader {
 public:
  RulesReader(const ConfigReader& reader, GatewayConfig& config)
      : reader_(reader), config_(config) {}

  // of: the model they stand under; "": none.
  void read(const Node& node, const std::string& of) {
    if (node.kind != Node::Kind::kList)
      reader_.wrong(node.line, "rules must be a list, as [{name: NAME, to: MODEL}]");
    for (const Node& item : node.items) {
      auto rule = read_one(item, of);
      if (!rule.ok()) {
        reader_.set_broken("rules");
        continue;
      }
      config_.rules.push_back(std::move(*rule));
      lines_.push_back(item.line);
    }
  }

  // What rules are to each other: with one of them missing nobody can tell.
  void check() const {
    if (reader_.is_broken("rules")) return;
    if (config_.rules.size() > Rules::kMaxRules) {
      reader_.wrong(lines_[Rules::kMaxRules], fmt::format("more than {} rules", Rules::kMaxRules));
      return;
    }
    for (const RuleProblem& p : Rules::check(config_.rules)) {
      const std::string& name = config_.rules[p.rule].name;
      reader_.wrong(lines_[p.rule], name.empty() ? p.message : name + ": " + p.message);
    }
  }

 private:
  Result<Rule> read_one(const Node& item, const std::string& of) {
    WEIR_ASSIGN(Rule rule, reader_.fields(rule_table(), item, kApart));
    if (!of.empty()) {
      if (!rule.models.empty())
        return reader_.wrong(item.line, fmt::format("models: the rule stands under {}", of));
      rule.models = {of};
    }
    if (!rule.name.empty() && !ConfigReader::is_name(rule.name))
      return reader_.wrong(item.line, ConfigReader::bad_name("a rule"));
    WEIR_TRY(read_headers(item.find("headers"), rule));
    WEIR_TRY(read_time(item.find("time"), rule));
    if (!rule.target.empty())
      WEIR_TRY(known_model(reader_, config_, rule.target, "to", line_of(item, "to")));
    return rule;
  }

  Status read_headers(const Node* node, Rule& rule) {
    if (node == nullptr) return {};
    if (node->kind != Node::Kind::kMap)
      return reader_.wrong(node->line, "headers must be a map of names and values");
    for (const config::Member& m : node->members) {
      if (m.value.kind != Node::Kind::kNull && m.value.kind != Node::Kind::kScalar)
        return reader_.wrong(m.line, fmt::format("headers.{} must be a text", m.key));
      rule.headers.push_back(condition_of(m.key, m.value));
    }
    return {};
  }

  Status read_time(const Node* node, Rule& rule) {
    if (node == nullptr) return {};
    WEIR_ASSIGN(const RawTime raw, reader_.fields(time_table(), *node));
    TimeWindow window;
    window.start_minute = minutes_of(raw.from);
    window.end_minute = minutes_of(raw.to);
    window.offset_minutes = static_cast<int>(raw.utc_offset_minutes);
    if (window.start_minute < 0 || window.end_minute < 0)
      return reader_.wrong(node->line, "time: write from and to as HH:MM, 00:00 to 24:00");
    if (!raw.days.empty()) window.days = 0;
    for (const std::string& day : raw.days) {
      const auto at = std::find(kDays.begin(), kDays.end(), day);
      if (at == kDays.end())
        return reader_.wrong(node->line, fmt::format("time.days: \"{}\" is none of {}",
                                                     day.substr(0, 40), fmt::join(kDays, " ")));
      window.days = static_cast<uint8_t>(window.days | (1U << (at - kDays.begin())));
    }
    rule.time = window;
    return {};
  }

  const ConfigReader& reader_;
  GatewayConfig& config_;
  std::vector<int> lines_;  // of each rule
};

}  // namespace

void list_rule_keys(std::string_view prefix, FileKeys& out) {
  list_keys(prefix, rule_table().keys(), kApart, out);
  list_keys(fmt::format("{}time.", prefix), time_table().keys(), {}, out);
}

void read_rules(const ConfigReader& reader, const Node& file, GatewayConfig& config) {
  RulesReader rules(reader, config);
  for (const config::Member& m : file.find("models")->members) {
    if (const Node* own = m.value.find("rules")) rules.read(*own, m.key);
  }
  if (const Node* all = file.find("rules")) rules.read(*all, "");
  rules.check();
}

std::string describe_rules(const GatewayConfig& config) {
  std::string out;
  for (const Rule& r : config.rules) {
    out += fmt::format("rule {}: ", r.name);
    out += r.models.empty() ? "every model" : fmt::format("{}", fmt::join(r.models, ", "));
    out += fmt::format(" -> {}\n", r.target);
  }
  return out;
}

}  // namespace weir::gateway
