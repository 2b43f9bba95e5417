#include "ops/brief/evidence.h"

#include <algorithm>
#include <set>

#include "ops/data/embedded.h"
#include "ops/sources/days.h"

namespace weir::ops {
namespace {

constexpr int kFileDays = 180;  // as hardware

std::set<std::string> tree_sources(const Tree& tree, const Actions& actions) {
  std::set<std::string> out;
  for (const TreeNode& node : tree.nodes) {
    out.insert(node.because.begin(), node.because.end());
    for (const std::string& id : node.actions) {
      const auto action = actions.find(id);
      if (action == actions.end()) continue;
      for (const Expectation& e : action->second.expect) {
        if (!e.source.empty()) out.insert(e.source);
      }
    }
  }
  return out;
}

AgedEvidence of_source(const Source& s, int today) {
  return {s.id,
          s.published.empty() ? s.kind : fmt::format("{}, published {}", s.kind, s.published),
          s.accessed,
          today - day_number(s.accessed).value_or(today),
          stale_days(s.kind),
          s.verified};
}

// The day behind "checked:" of a file that the program carries.
std::string checked_day(std::string_view file) {
  constexpr std::string_view kKey = "\nchecked: ";
  for (const EmbeddedFile& f : embedded_files()) {
    const size_t at = f.name == file ? f.text.find(kKey) : std::string_view::npos;
    if (at != std::string_view::npos) return std::string(f.text.substr(at + kKey.size(), 10));
  }
  return "";
}

void sort_by_age(std::vector<AgedEvidence>& out, size_t from) {
  std::stable_sort(
      out.begin() + static_cast<std::ptrdiff_t>(from), out.end(),
      [](const AgedEvidence& a, const AgedEvidence& b) { return a.age_days > b.age_days; });
}

}  // namespace

std::vector<AgedEvidence> evidence_of(std::span<const TrendTopic* const> topics,
                                      const std::vector<Tree>& trees, const Actions& actions,
                                      const Sources& sources, int today) {
  std::vector<AgedEvidence> out;
  std::set<std::string> seen;
  const auto add = [&](const Source& s) {
    if (seen.insert(s.id).second) out.push_back(of_source(s, today));
  };
  for (const TrendTopic* topic : topics) {
    for (const Tree& tree : trees) {
      if (std::find(topic->trees.begin(), topic->trees.end(), tree.name) == topic->trees.end())
        continue;
      for (const std::string& id : tree_sources(tree, actions)) {
        if (const Source* s = sources.find(id)) add(*s);
      }
    }
  }
  sort_by_age(out, 0);
  const size_t cited = out.size();
  for (const TrendTopic* topic : topics) {
    for (const Source& s : sources.all) {
      const auto& wanted = topic->source_topics;
      const bool about = std::any_of(s.topics.begin(), s.topics.end(), [&](const std::string& t) {
        return std::find(wanted.begin(), wanted.end(), t) != wanted.end();
      });
      if (about) add(s);
    }
  }
  sort_by_age(out, cited);
  for (const TrendTopic* topic : topics) {
    for (const std::string& file : topic->files) {
      const std::string day = checked_day(file);
      if (!day_number(day) || !seen.insert(file).second) continue;
      out.push_back({file, "figures with sources of their own", day, today - *day_number(day),
                     std::min(kFileDays, topic->fresh_days), true});
    }
  }
  return out;
}

}  // namespace weir::ops
