#include "cli/mcp_tools.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::cli {
namespace {

using Parameter = mcp::ToolParameter;

// "max-tokens" as "max_tokens"; "FILE" as "file".
std::string property_name(std::string name) {
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-' || c == '.') c = '_';
  }
  return name;
}

// Of CLI11's "INT:INT in [1 - 4096]" or "TEXT:{a,b}".
Parameter::Kind kind_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return Parameter::Kind::kSwitch;
  const std::string type = option.get_type_name();
  const std::string_view base = std::string_view(type).substr(0, type.find(':'));
  if (base == "INT" || base == "UINT") return Parameter::Kind::kInteger;
  return base == "FLOAT" ? Parameter::Kind::kNumber : Parameter::Kind::kString;
}

std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find(":{");
  const size_t close = type.find('}', open);
  std::vector<std::string> out;
  if (open == std::string::npos || close == std::string::npos) return out;
  std::string_view rest = std::string_view(type).substr(open + 2, close - open - 2);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

// What a validator says of the values beyond the choices: "1 - 4096".
std::string range_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find(" in [");
  const size_t close = type.find(']', open);
  if (open == std::string::npos || close == std::string::npos) return "";
  return type.substr(open + 5, close - open - 5);
}

Parameter parameter_of(const CLI::Option& option) {
  Parameter p;
  p.kind = kind_of(option);
  if (!option.get_lnames().empty()) {
    p.name = property_name(option.get_lnames().front());
    p.flag = "--" + option.get_lnames().front();
  } else if (!option.get_snames().empty()) {
    p.name = property_name(option.get_snames().front());
    p.flag = "-" + option.get_snames().front();
  } else {
    p.name = property_name(option.get_name(true));
  }
  p.description = option.get_description();
  p.default_text = option.get_default_str();
  if (p.kind != Parameter::Kind::kSwitch) {
    p.choices = choices_of(option);
    if (const std::string range = range_of(option); !range.empty())
      p.description += fmt::format("; {}", range);
  }
  p.list = option.get_items_expected_max() > 1;
  p.required = option.get_required();
  return p;
}

bool is_flag(const CLI::Option& option, std::string_view name) {
  const auto& names = option.get_lnames();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What a tool does, where it is less than the worst that Tool assumes. kAdds: it writes only files
// that the call names.
mcp::Tool::Effect effect_of(std::string_view command) {
  using Effect = mcp::Tool::Effect;
  constexpr std::string_view kReads[] = {"tokenize",     "inspect",       "embed",
                                         "run",          "config show",   "config check",
                                         "intake check", "intake fields", "config diff-envs",
                                         "sources list", "sources check", "sources due",
                                         "log show",     "log verify"};
  constexpr std::string_view kAdds[] = {
      "advise",   "plan",        "cost",       "doctor",       "init",         "bench machine",
      "quantize", "imatrix",     "bench load", "bench engine", "bench report", "eval ppl",
      "eval kl",  "eval logits", "eval task",  "eval compare", "recipe",       "sources brief new"};
  if (std::find(std::begin(kReads), std::end(kReads), command) != std::end(kReads))
    return Effect::kReads;
  if (std::find(std::begin(kAdds), std::end(kAdds), command) != std::end(kAdds))
    return Effect::kAdds;
  return Effect::kReplaces;
}

// An agent has no terminal to be asked on, and no use for more than fits its context.
void adapt(std::string_view command, mcp::Tool& tool) {
  if (command == "intake")
    std::erase_if(tool.parameters, [](const Parameter& p) { return p.name == "ask"; });
  struct Bound {
    std::string_view command;
    int limit;
    std::string_view more;
  };
  constexpr Bound kBounds[] = {
      {"sources list", 25, "narrow it by topic, kind or claim first"},
      {"advise", 12, "narrow it by tree first; the ways through the trees come without a limit"}};
  for (const Bound& b : kBounds) {
    if (b.command != command) continue;
    tool.defaults.emplace_back("limit", fmt::format("--limit={}", b.limit));
    tool.description +=
        fmt::format(". Answers at most limit ({} unless given, 0: all); {}.", b.limit, b.more);
    for (Parameter& p : tool.parameters) {
      if (p.name == "limit") p.default_text = fmt::format("{}", b.limit);
    }
  }
}

mcp::Tool tool_of(const CLI::App& app, const std::vector<std::string>& path) {
  mcp::Tool tool;
  tool.name = property_name(fmt::format("{}", fmt::join(path, "_")));
  tool.title = fmt::format("weir {}", fmt::join(path, " "));
  tool.description = app.get_description();
  tool.command = path;
  const CLI::Option* json = nullptr;
  for (const CLI::Option* option : app.get_options()) {
    if (is_flag(*option, "help")) continue;
    if (is_flag(*option, "json")) {
      json = option;
      continue;
    }
    Parameter p = parameter_of(*option);
    // An argument and a flag of the same name: the flag is the longer one.
    const bool taken = std::any_of(tool.parameters.begin(), tool.parameters.end(),
                                   [&](const Parameter& o) { return o.name == p.name; });
    if (taken) p.name += p.flag.empty() ? "_argument" : "_option";
    tool.parameters.push_back(std::move(p));
  }
  const std::string command = fmt::format("{}", fmt::join(path, " "));
  tool.effect = effect_of(command);
  adapt(command, tool);
  tool.json = json != nullptr;
  if (json == nullptr) return tool;
  for (CLI::Option* other : json->get_excludes()) {
    if (!other->get_lnames().empty())
      tool.json_excludes.push_back(property_name(other->get_lnames().front()));
  }
  return tool;
}

void collect(const CLI::App& app, const std::vector<std::string>& path,
             std::vector<mcp::Tool>& tools) {
  const std::vector<const CLI::App*> commands = app.get_subcommands({});
  const auto& left_out = mcp_left_out();
  if (std::find(left_out.begin(), left_out.end(), fmt::format("{}", fmt::join(path, " "))) !=
      left_out.end())
    return;
  // A group may do something by itself, too: weir intake.
  const bool acts = commands.empty() || app.get_require_subcommand_min() == 0;
  if (acts && !path.empty()) tools.push_back(tool_of(app, path));
  for (const CLI::App* command : commands) {
    std::vector<std::string> longer = path;
    longer.push_back(command->get_name());
    collect(*command, longer, tools);
  }
}

}  // namespace

const std::vector<std::string_view>& mcp_left_out() {
  static const std::vector<std::string_view> names = {"serve", "gateway", "bench mock", "keys",
                                                      "mcp"};
  return names;
}

std::vector<mcp::Tool> mcp_tools(const CLI::App& root) {
  std::vector<mcp::Tool> tools;
  collect(root, {}, tools);
  return tools;
}

}  // namespace weir::cli
