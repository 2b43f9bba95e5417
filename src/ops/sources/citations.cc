#include "ops/sources/citations.h"

#include <algorithm>
#include <filesystem>

#include "ops/advise/action.h"
#include "ops/advise/tree.h"
#include "ops/cost/prices.h"
#include "ops/doctor/rule.h"
#include "ops/lint/rules.h"
#include "os/file.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxPageBytes = 1 << 20;
constexpr size_t kMaxPages = 2000;

bool is_id(std::string_view text) {
  return text.find('-') != std::string_view::npos && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

// What stands in one pair of brackets.
void add_bracket(std::string_view inside, const std::string& where, std::vector<Citation>& out) {
  while (!inside.empty()) {
    const size_t end = std::min(inside.find_first_of(",;"), inside.size());
    std::string_view word = inside.substr(0, end);
    inside.remove_prefix(std::min(inside.size(), end + 1));
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (!word.empty() && is_id(word)) out.push_back({where, std::string(word), ""});
  }
}

void add_line(std::string_view line, const std::string& where, std::vector<Citation>& out) {
  bool code = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '`') code = !code;
    if (code || line[i] != '[') continue;
    const size_t close = line.find_first_of("[]", i + 1);
    if (close == std::string_view::npos) return;
    const char next = close + 1 < line.size() ? line[close + 1] : ' ';
    if (line[close] == ']' && next != '(' && next != '[' && next != ':')
      add_bracket(line.substr(i + 1, close - i - 1), where, out);
    i = line[close] == ']' ? close : close - 1;
  }
}

}  // namespace

Result<std::vector<Citation>> built_in_citations() {
  std::vector<Citation> out;
  WEIR_ASSIGN(const auto trees, built_in_trees());
  for (const Tree& tree : trees) {
    for (const TreeNode& node : tree.nodes) {
      for (const std::string& id : node.because)
        out.push_back({fmt::format("tree {}, node {}", tree.name, node.name), id, ""});
    }
  }
  WEIR_ASSIGN(const Actions actions, built_in_actions());
  for (const auto& [id, action] : actions) {
    for (const Expectation& e : action.expect) {
      if (!e.source.empty()) out.push_back({"action " + id, e.source, e.claim});
    }
  }
  for (const LintRule& rule : LintRules::built_in().all()) {
    if (!rule.source.empty()) out.push_back({"rule " + rule.id, rule.source, ""});
  }
  for (const DoctorRule& rule : doctor_rules()) {
    if (!rule.source.empty())
      out.push_back({fmt::format("doctor rule {}", rule.id), std::string(rule.source), ""});
  }
  WEIR_ASSIGN(const Prices prices, built_in_prices());
  for (const ApiPrice& p : prices.apis) out.push_back({"price " + p.id, p.origin.source, ""});
  for (const RentalPrice& p : prices.rentals)
    out.push_back({"price " + p.accelerator, p.origin.source, ""});
  return out;
}

std::vector<Citation> page_citations(std::string_view markdown, std::string_view name) {
  std::vector<Citation> out;
  bool fenced = false;
  for (int number = 1; !markdown.empty(); ++number) {
    const size_t end = std::min(markdown.find('\n'), markdown.size());
    const std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(markdown.size(), end + 1));
    const size_t text = line.find_first_not_of(" \t");
    if (text != std::string_view::npos && line.substr(text).starts_with("```")) {
      fenced = !fenced;
      continue;
    }
    if (!fenced) add_line(line, fmt::format("{}:{}", name, number), out);
  }
  return out;
}

Result<std::vector<Citation>> folder_citations(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> pages;
  fs::recursive_directory_iterator it(folder, error);
  if (error) return make_error(ErrorCode::kNotFound, "cannot list {}: {}", folder, error.message());
  for (; it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (error) return make_error(ErrorCode::kIo, "cannot list {}: {}", folder, error.message());
    if (!it->is_regular_file(error) || it->path().extension() != ".md") continue;
    if (pages.size() == kMaxPages)
      return make_error(ErrorCode::kLimit, "{} has more than {} pages", folder, kMaxPages);
    pages.push_back(it->path().string());
  }
  std::sort(pages.begin(), pages.end());
  std::vector<Citation> out;
  for (const std::string& page : pages) {
    WEIR_ASSIGN(const std::string text, os::read_file(page, kMaxPageBytes));
    auto found = page_citations(text, page);
    out.insert(out.end(), std::make_move_iterator(found.begin()),
               std::make_move_iterator(found.end()));
  }
  return out;
}

}  // namespace weir::ops
