#include "ops/deploy/read.h"

#include <algorithm>
#include <charconv>

#include "ops/deploy/forms.h"
#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

using config::Node;

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDocuments = 256;

void shift_lines(Node& node, int by) {
  node.line += by;
  for (Node& item : node.items) shift_lines(item, by);
  for (config::Member& m : node.members) {
    m.line += by;
    shift_lines(m.value, by);
  }
}

bool is_separator(std::string_view line) {
  return line.starts_with("---") && (line.size() == 3 || line[3] == ' ' || line[3] == '\t' ||
                                     line[3] == '\r' || line[3] == '#');
}

// One document that begins after `before` lines.
Result<Node> parse_document(std::string_view text, std::string_view name, int before) {
  auto node = config::parse_yaml(text, name);
  if (node.ok()) {
    shift_lines(*node, before);
    return node;
  }
  // Once more for the message alone, with the lines that stand in front.
  auto again =
      config::parse_yaml(std::string(static_cast<size_t>(before), '\n') + std::string(text), name,
                         {.max_bytes = 2 * kMaxBytes});
  if (again.ok()) return node.error();
  Error error = again.error();
  if (text.find("{{") != std::string_view::npos)
    error.message += "; a template is to be rendered first (helm template)";
  return error;
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view e) { return name.ends_with(e); });
}

// Whether the first line with content is YAML's or JSON's rather than a command's.
bool looks_like_yaml(std::string_view text, std::string_view name) {
  if (ends_with_any(name, {".yaml", ".yml", ".json"})) return true;
  if (ends_with_any(name, {".sh", ".txt", ".cmd"})) return false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    const size_t space = line.find(' ');
    return is_separator(line) || line.starts_with('{') || line.starts_with("- ") ||
           (colon != std::string_view::npos && colon < space &&
            (colon + 1 == line.size() || line[colon + 1] == ' '));
  }
  return false;
}

// A key, or what others stand below: "decode" of "decode.replicas".
bool has_key(const EngineSnapshot& snapshot, const std::string& key) {
  const std::string below = key + ".";
  return snapshot.find_key(key) != nullptr ||
         std::any_of(snapshot.keys().begin(), snapshot.keys().end(),
                     [&](const EngineOption& o) { return o.name.starts_with(below); });
}

// The engine whose keys, or flags without dashes, most of the top-level keys are; "" when it is not
// clear.
std::string engine_of_keys(const Node& root) {
  std::string best;
  size_t most = 0;
  bool unclear = false;
  for (const std::string& engine : engine_names()) {
    const auto snapshot = engine_snapshot(engine);
    if (!snapshot.ok()) continue;
    const auto known = static_cast<size_t>(
        std::count_if(root.members.begin(), root.members.end(), [&](const config::Member& m) {
          if (!snapshot->keys().empty()) return has_key(*snapshot, m.key);
          const EngineSnapshot::Found flag = snapshot->find_flag("--" + m.key);
          return flag.option != nullptr && !flag.abbreviated;
        }));
    if (known > most) {
      best = engine;
      most = known;
      unclear = false;
    } else if (known == most) {
      unclear = true;
    }
  }
  return unclear || most * 10 < root.members.size() * 6 ? "" : best;
}

Status read_map(const ConfigText& source, const Node& root, Deployment& out) {
  if (root.find("services") != nullptr && root.find("kind") == nullptr)
    return read_compose(source, root, out);
  ConfigText keys = source;
  const std::string engine =
      source.engine.empty() ? engine_of_keys(root) : std::string(source.engine);
  if (engine.empty()) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: no manifest, no Compose file, and its keys are of no engine for sure; "
                      "name the engine: weir config check ENGINE {}",
                      source.name, source.name);
  }
  keys.engine = engine;
  read_key_file(keys, root, out);
  return {};
}

Status read_yaml_forms(const ConfigText& source, Deployment& out) {
  WEIR_ASSIGN(const std::vector<Node> documents, parse_documents(source.text, source.name));
  bool any = false;
  for (const Node& d : documents) {
    if (d.find("kind") != nullptr && d.find("apiVersion") != nullptr) {
      out.form = ConfigForm::kKubernetes;
      WEIR_TRY(read_kubernetes(source, d, out));
    } else if (d.kind == Node::Kind::kMap) {
      WEIR_TRY(read_map(source, d, out));
    } else {
      continue;
    }
    any = true;
  }
  if (!any) {
    return make_error(ErrorCode::kUnsupported, "{}: holds no map, so it is no configuration",
                      source.name);
  }
  return {};
}

}  // namespace

std::string_view form_name(ConfigForm form) {
  switch (form) {
    case ConfigForm::kCommand:
      return "command";
    case ConfigForm::kDocker:
      return "docker";
    case ConfigForm::kCompose:
      return "compose";
    case ConfigForm::kKubernetes:
      return "kubernetes";
    case ConfigForm::kKeys:
      return "keys";
  }
  return "";
}

Result<std::vector<Node>> parse_documents(std::string_view text, std::string_view name) {
  if (text.size() > kMaxBytes)
    return make_error(ErrorCode::kLimit, "{}: larger than {} bytes", name, kMaxBytes);
  std::vector<Node> out;
  size_t from = 0;
  int before = 0;
  int line = 0;
  const auto add = [&](size_t to) -> Status {
    if (out.size() == kMaxDocuments)
      return make_error(ErrorCode::kLimit, "{}: more than {} documents", name, kMaxDocuments);
    WEIR_ASSIGN(Node n, parse_document(text.substr(from, to - from), name, before));
    if (n.kind != Node::Kind::kNull) out.push_back(std::move(n));
    return {};
  };
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (is_separator(text.substr(at, end - at))) {
      WEIR_TRY(add(at));
      from = at;
      before = line;
    }
    at = end + 1;
  }
  WEIR_TRY(add(text.size()));
  return out;
}

Result<Deployment> read_deployment(std::string_view text, std::string_view name,
                                   std::string_view engine) {
  if (text.size() > kMaxBytes)
    return make_error(ErrorCode::kLimit, "{}: larger than {} bytes", name, kMaxBytes);
  Deployment out;
  out.file = name;
  const ConfigText source{text, name, engine};
  if (looks_like_yaml(text, name)) {
    WEIR_TRY(read_yaml_forms(source, out));
  } else {
    WEIR_TRY(read_commands(source, out));
  }
  for (const WorkloadSpec& w : out.workloads) {
    for (const ContainerSpec& c : w.containers) {
      if (c.call) return out;
    }
  }
  return make_error(ErrorCode::kUnsupported,
                    "{}: starts no engine that is known; name it: weir config check ENGINE {}",
                    name, name);
}

std::optional<int64_t> integer_of(const Node* node) {
  if (node == nullptr || node->kind != Node::Kind::kScalar) return std::nullopt;
  int64_t v = 0;
  const char* last = node->text.data() + node->text.size();
  const auto [end, error] = std::from_chars(node->text.data(), last, v);
  return error == std::errc() && end == last ? std::optional(v) : std::nullopt;
}

int text_line(const ConfigText& source, const Node& node) {
  size_t at = 0;
  for (int line = 1; line < node.line; ++line) {
    at = source.text.find('\n', at);
    if (at == std::string_view::npos) return node.line;
    ++at;
  }
  std::string_view line = source.text.substr(at, source.text.find('\n', at) - at);
  while (!line.empty() && std::string_view(" \r\t").find(line.back()) != std::string_view::npos)
    line.remove_suffix(1);
  const size_t mark = line.find_last_not_of("+-0123456789");
  const bool block = mark != std::string_view::npos && (line[mark] == '|' || line[mark] == '>');
  return block && node.text.size() + 2 > line.size() - mark ? node.line + 1 : node.line;
}

Result<std::vector<Word>> words_of(const ConfigText& source, const Node* node) {
  std::vector<Word> out;
  if (node == nullptr) return out;
  if (node->kind == Node::Kind::kScalar) {
    WEIR_ASSIGN(auto commands, split_commands(node->text, source.name, text_line(source, *node)));
    for (ShellCommand& c : commands) {
      for (Word& w : c.words) out.push_back(std::move(w));
    }
    return out;
  }
  for (const Node& item : node->items) {
    const int line =
        item.text.find('\n') == std::string::npos ? item.line : text_line(source, item);
    const bool expands =
        item.text.find("$(") != std::string::npos || item.text.find("${") != std::string::npos;
    out.push_back({item.text, line, expands});
  }
  return out;
}

Status set_call(const ConfigText& source, const std::vector<Word>& entrypoint,
                const std::vector<Word>& arguments, ContainerSpec& container) {
  std::vector<Word> all = entrypoint;
  all.insert(all.end(), arguments.begin(), arguments.end());
  WEIR_ASSIGN(container.call, find_call(all, source.name));
  if (container.call) return {};
  // The image's own program runs, with the words as its arguments.
  const bool flags = !all.empty() && all[0].text.starts_with('-');
  std::string engine = engine_of_image(container.image);
  if (engine.empty() && flags) engine = source.engine;
  if (engine.empty() || (!entrypoint.empty() && !flags)) return {};
  EngineCall call;
  call.engine = engine;
  call.line = container.image_line > 0 ? container.image_line : container.line;
  call.arguments = std::move(all);
  container.call = std::move(call);
  return {};
}

}  // namespace weir::ops
