#include "ops/advise/graph.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace weir::ops {
namespace {

constexpr double kWidth = 250, kGapX = 60, kLine = 15, kGapY = 14, kMargin = 10;
constexpr size_t kColumns = 38;  // characters of a line

std::string words_of(const TreeNode& n) {
  if (!n.ask.empty()) return n.ask;
  if (!n.say.empty()) return n.say;
  if (n.leaf) return fmt::format("{}", fmt::join(n.actions, ", "));
  return n.name;
}

struct Edge {
  std::string to, label;
};

std::vector<Edge> edges(const TreeNode& n) {
  std::vector<Edge> out;
  for (const std::string& name : n.walk) out.push_back({name, ""});
  if (n.condition) {
    out.push_back({n.yes, "yes"});
    out.push_back({n.no, "no"});
  }
  std::map<std::string, std::string> labels;  // several choices may lead to one node
  for (const auto& [value, target] : n.cases) {
    std::string& label = labels[target];
    label += (label.empty() ? "" : ", ") + value;
  }
  for (const auto& [target, label] : labels) out.push_back({target, label});
  return out;
}

// Nodes and edges of the way that was taken.
struct Lit {
  std::set<std::string> nodes;
  std::set<std::pair<std::string, std::string>> edges;
};

Lit lit(const Walk* walk) {
  Lit out;
  if (walk == nullptr) return out;
  for (const WalkStep& step : walk->steps) {
    out.nodes.insert(step.node->name);
    for (const std::string& name : step.node->walk) out.edges.emplace(step.node->name, name);
    if (step.node->condition) {
      out.edges.emplace(step.node->name, step.answer == "yes" ? step.node->yes : step.node->no);
    } else if (step.node->of != nullptr) {
      const auto found = step.node->cases.find(step.answer);
      out.edges.emplace(step.node->name, found != step.node->cases.end()
                                             ? found->second
                                             : step.node->cases.at("else"));
    }
  }
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::vector<std::string> wrapped(std::string_view text) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, space);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > kColumns)
      lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + std::string(word);
    text.remove_prefix(std::min(text.size(), space + 1));
  }
  return lines;
}

struct Box {
  double x = 0, y = 0, height = 0;
  std::vector<std::string> lines;
};

// Each node once: right of the first that leads to it, below what stands in its column.
std::map<std::string, Box> layout(const Tree& tree, double& width, double& height) {
  std::map<std::string, Box> boxes;
  std::map<size_t, double> free;  // the first free y of a column
  const std::function<void(const TreeNode&, size_t)> place = [&](const TreeNode& n, size_t column) {
    if (boxes.contains(n.name)) return;
    Box box;
    box.lines = wrapped(words_of(n));
    box.height = kLine * static_cast<double>(box.lines.size()) + 12;
    box.x = kMargin + static_cast<double>(column) * (kWidth + kGapX);
    double y = kMargin;
    for (const auto& [c, below] : free) y = c >= column ? std::max(y, below) : y;
    box.y = y;
    free[column] = y + box.height + kGapY;
    width = std::max(width, box.x + kWidth + kMargin);
    height = std::max(height, free[column]);
    boxes[n.name] = std::move(box);
    for (const Edge& e : edges(n)) place(*tree.find(e.to), column + 1);
  };
  place(tree.nodes.front(), 0);
  return boxes;
}

}  // namespace

std::string tree_mermaid(const Tree& tree, const Walk* walk) {
  const Lit on = lit(walk);
  std::string out = fmt::format("%% {}\nflowchart LR\n", tree.title);
  std::map<std::string, size_t> numbers;
  for (const TreeNode& n : tree.nodes) numbers.emplace(n.name, numbers.size());
  size_t edge = 0;
  std::string lights;
  for (const TreeNode& n : tree.nodes) {
    const std::string words = escaped(words_of(n));
    out += fmt::format("  n{}{}\"{}\"{}\n", numbers[n.name], n.leaf ? "([" : "{{", words,
                       n.leaf ? "])" : "}}");
    for (const Edge& e : edges(n)) {
      out += fmt::format("  n{} -->{} n{}\n", numbers[n.name],
                         e.label.empty() ? "" : fmt::format("|{}|", e.label), numbers[e.to]);
      if (on.edges.contains({n.name, e.to}))
        lights += fmt::format("  linkStyle {} stroke:#0a7,stroke-width:3px\n", edge);
      ++edge;
    }
    if (on.nodes.contains(n.name)) lights += fmt::format("  class n{} lit\n", numbers[n.name]);
  }
  return out + "  classDef lit fill:#dff5ec,stroke:#0a7,stroke-width:2px\n" + lights;
}

std::string tree_svg(const Tree& tree, const Walk* walk) {
  const Lit on = lit(walk);
  double width = 0, height = 0;
  const auto boxes = layout(tree, width, height);
  std::string lines, shapes;
  for (const TreeNode& n : tree.nodes) {
    const auto found = boxes.find(n.name);
    if (found == boxes.end()) continue;
    const Box& from = found->second;
    for (const Edge& e : edges(n)) {
      const Box& to = boxes.at(e.to);
      const bool taken = on.edges.contains({n.name, e.to});
      const double x1 = from.x + kWidth, y1 = from.y + from.height / 2;
      const double x2 = to.x, y2 = to.y + to.height / 2, mid = x2 - kGapX / 2;
      lines += fmt::format(
          "<path d=\"M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}\" fill=\"none\" "
          "stroke=\"{}\" stroke-width=\"{}\"/>\n",
          x1, y1, mid, y1, mid, y2, x2, y2, taken ? "#0a7" : "#bbb", taken ? 3 : 1);
      if (!e.label.empty()) {
        lines += fmt::format(
            "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"end\" fill=\"#555\">{}</text>\n", x2 - 4,
            y2 - 4, escaped(e.label));
      }
    }
    const bool taken = on.nodes.contains(n.name);
    shapes += fmt::format(
        "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" rx=\"{}\" fill=\"{}\" "
        "stroke=\"{}\"/>\n",
        from.x, from.y, kWidth, from.height, n.leaf ? 12 : 2, taken ? "#dff5ec" : "#fff",
        taken ? "#0a7" : "#999");
    for (size_t i = 0; i < from.lines.size(); ++i) {
      shapes += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>\n", from.x + 8,
                            from.y + 17 + kLine * static_cast<double>(i), escaped(from.lines[i]));
    }
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 "
      "0 "
      "{0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{2}</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{3}{4}</svg>\n",
      width, height + kMargin, escaped(tree.title), lines, shapes);
}

}  // namespace weir::ops
