#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>
#include <utility>

#include "os/file.h"

namespace weir::config {
namespace {

// Leaves yaml-cpp's parser; caught in parse_yaml.
struct Refused {
  Error error;
};

// Events into a tree. yaml-cpp's own nodes keep no bounds and resolve aliases.
class Builder final : public YAML::EventHandler {
 public:
  Builder(std::string_view name, const YamlLimits& limits) : name_(name), limits_(limits) {}

  Node take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Node n;
    n.line = mark.line + 1;
    put(std::move(n));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(ErrorCode::kUnsupported, mark.line + 1,
           "aliases (*name) are not read: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string& value) override {
    Node n;
    n.kind = Node::Kind::kScalar;
    n.line = mark.line + 1;
    n.text = value;
    put(std::move(n));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::kList, mark.line + 1);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::kMap, mark.line + 1);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map that is not complete; of a map, the key whose value comes next.
  struct Open {
    Node node;
    bool has_key = false;
    std::string key;
    int key_line = 0;
    std::unordered_set<std::string> keys;  // seen so far
  };

  [[noreturn]] void refuse(ErrorCode code, int line, const std::string& what) const {
    throw Refused{make_error(code, "{}:{}: {}", name_, line, what)};
  }

  void open(Node::Kind kind, int line) {
    if (stack_.size() >= limits_.max_depth)
      refuse(ErrorCode::kLimit, line, fmt::format("nested more than {} deep", limits_.max_depth));
    if (!stack_.empty() && stack_.back().node.kind == Node::Kind::kMap && !stack_.back().has_key)
      refuse(ErrorCode::kCorrupt, line, "a list or map cannot be a key");
    Open o;
    o.node.kind = kind;
    o.node.line = line;
    stack_.push_back(std::move(o));
  }

  void close() {
    Node n = std::move(stack_.back().node);
    stack_.pop_back();
    put(std::move(n));
  }

  void put(Node n) {
    if (++values_ > limits_.max_values)
      refuse(ErrorCode::kLimit, n.line, fmt::format("more than {} values", limits_.max_values));
    if (stack_.empty()) {
      root_ = std::move(n);
      return;
    }
    Open& top = stack_.back();
    if (top.node.kind == Node::Kind::kList) {
      top.node.items.push_back(std::move(n));
    } else if (top.has_key) {
      top.has_key = false;
      top.node.members.push_back({std::move(top.key), top.key_line, std::move(n)});
    } else {
      take_key(top, n);
    }
  }

  void take_key(Open& top, const Node& n) {
    if (n.kind != Node::Kind::kScalar) refuse(ErrorCode::kCorrupt, n.line, "a key is empty");
    if (!top.keys.insert(n.text).second)
      refuse(ErrorCode::kCorrupt, n.line, fmt::format("\"{}\" stands twice", cut(n.text)));
    top.has_key = true;
    top.key = n.text;
    top.key_line = n.line;
  }

  static std::string_view cut(std::string_view text) { return text.substr(0, 60); }

  const std::string_view name_;
  const YamlLimits& limits_;
  Node root_;
  std::vector<Open> stack_;
  size_t values_ = 0;
};

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return found == members.end() ? nullptr : &found->value;
}

std::string_view Node::kind_name() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a value";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "nothing";
}

int line_of(const Node& map, std::string_view path) {
  const Node* node = &map;
  int line = map.line;
  while (!path.empty()) {
    const std::string_view key = path.substr(0, path.find('.'));
    const auto found = std::find_if(node->members.begin(), node->members.end(),
                                    [&](const Member& m) { return m.key == key; });
    if (found == node->members.end()) break;
    line = found->line;
    node = &found->value;
    path.remove_prefix(std::min(path.size(), key.size() + 1));
  }
  return line;
}

Result<Node> parse_yaml(std::string_view text, std::string_view name, const YamlLimits& limits) {
  if (text.size() > limits.max_bytes)
    return make_error(ErrorCode::kLimit, "{}: larger than {} bytes", name, limits.max_bytes);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    Builder builder(name, limits);
    if (!parser.HandleNextDocument(builder)) return Node{};
    Builder second(name, limits);
    if (parser.HandleNextDocument(second))
      return make_error(ErrorCode::kCorrupt, "{}: holds more than one document", name);
    return builder.take();
  } catch (const Refused& refused) {
    return refused.error;
  } catch (const YAML::Exception& e) {
    return make_error(ErrorCode::kCorrupt, "{}:{}: not YAML: {}", name, e.mark.line + 1, e.msg);
  }
}

Result<Node> read_yaml(const std::string& path, const YamlLimits& limits) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, limits.max_bytes));
  return parse_yaml(text, path, limits);
}

}  // namespace weir::config
