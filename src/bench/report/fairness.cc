#include "bench/report/fairness.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bench/report/format.h"
#include "bench/report/html_parts.h"
#include "bench/report/svg_bars.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

std::string name_of(int32_t group, const std::vector<std::string>& names) {
  if (group >= 0 && static_cast<size_t>(group) < names.size() &&
      !names[static_cast<size_t>(group)].empty())
    return names[static_cast<size_t>(group)];
  return fmt::format("group {}", group);
}

// Every group of any run, ascending.
std::vector<int32_t> groups_of(const std::vector<FairnessRun>& runs) {
  std::set<int32_t> all;
  for (const FairnessRun& run : runs) {
    for (const GroupSummary& g : run.summary->groups) all.insert(g.group);
  }
  return {all.begin(), all.end()};
}

const GroupSummary* find_group(const LoadSummary& run, int32_t group) {
  for (const GroupSummary& g : run.groups) {
    if (g.group == group) return &g;
  }
  return nullptr;
}

std::string bars(const std::vector<FairnessRun>& runs, const std::vector<std::string>& names) {
  BarPlot plot;
  plot.title = "TTFT p95";
  plot.y_label = "ms";
  plot.width = 1032;
  plot.height = 320;
  const std::vector<int32_t> groups = groups_of(runs);
  for (const int32_t g : groups) plot.clusters.push_back(name_of(g, names));
  for (const FairnessRun& run : runs) {
    plot.runs.push_back(run.label);
    std::vector<Estimate>& values = plot.values.emplace_back();
    for (const int32_t g : groups) {
      const GroupSummary* found = find_group(*run.summary, g);
      values.push_back(found == nullptr ? Estimate() : found->ttft_ms.p95());
    }
  }
  return bars_svg(plot);
}

// A number fit for one group against the others: the worst p95 of all groups but the one that sent
// most.
std::string table(const std::vector<FairnessRun>& runs, const std::vector<std::string>& names) {
  std::vector<std::vector<std::string>> rows = {{"Run", "heaviest group", "its TTFT p95, ms",
                                                 "others: worst TTFT p95, ms", "others: refused",
                                                 "Jain index of output tok/s"}};
  for (const FairnessRun& run : runs) {
    const auto& groups = run.summary->groups;
    const auto heaviest = std::max_element(
        groups.begin(), groups.end(),
        [](const GroupSummary& a, const GroupSummary& b) { return a.requests < b.requests; });
    if (heaviest == groups.end()) continue;
    Estimate worst;
    int64_t refused = 0;
    std::vector<double> shares;
    for (const GroupSummary& g : groups) {
      shares.push_back(g.output_tokens_per_s);
      if (&g == &*heaviest) continue;
      refused += g.refused;
      const Estimate& p95 = g.ttft_ms.p95();
      if (p95.known() && !(worst.value >= p95.value)) worst = p95;
    }
    rows.push_back({escaped(run.label), escaped(name_of(heaviest->group, names)),
                    html_estimate(heaviest->ttft_ms.p95()), html_estimate(worst),
                    count_text(refused), number_text(jain_index(shares))});
  }
  return html_table(rows);
}

}  // namespace

LoadSummary as_groups(const std::vector<const LoadSummary*>& tenants) {
  LoadSummary out;
  for (const LoadSummary* t : tenants) {
    GroupSummary& g = out.groups.emplace_back();
    g.group = static_cast<int32_t>(out.groups.size()) - 1;
    g.requests = t->requests;
    g.ok = t->ok;
    g.refused = t->refused;
    g.ttft_ms = t->ttft_ms;
    g.output_tokens_per_s = t->output_tokens_per_s.known() ? t->output_tokens_per_s.value : 0;
    g.slo_share = t->goodput.share.known() ? t->goodput.share.value : 0;
    out.requests += t->requests;
  }
  return out;
}

double jain_index(const std::vector<double>& shares) {
  double sum = 0;
  double squares = 0;
  for (const double x : shares) {
    sum += x;
    squares += x * x;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(shares.size()) * squares) : 1;
}

std::string fairness_svg(const std::vector<FairnessRun>& runs,
                         const std::vector<std::string>& group_names) {
  std::string svg = bars(runs, group_names);
  // Alone it carries its own colours.
  return svg.insert(svg.find('>') + 1,
                    "<style>" + plot::svg_style() + "svg{background:var(--paper)}</style>");
}

std::string fairness_html(const std::vector<FairnessRun>& runs,
                          const std::vector<std::string>& group_names, const std::string& title) {
  std::string body = fmt::format("<h1>{}</h1>\n", escaped(title));
  body += table(runs, group_names) + "<h2>By group</h2>\n" + bars(runs, group_names);
  body += "<h2>TTFT by run</h2>\n<div class=\"two\">\n";
  for (const FairnessRun& run : runs) {
    std::vector<Curve> curves;
    // As many as there are colours: those with most requests.
    std::vector<const GroupSummary*> groups;
    for (const GroupSummary& g : run.summary->groups) groups.push_back(&g);
    std::stable_sort(groups.begin(), groups.end(),
                     [](const auto* a, const auto* b) { return a->requests > b->requests; });
    if (groups.size() > plot::kSeriesColours) groups.resize(plot::kSeriesColours);
    curves.reserve(curves.size() + groups.size());
    for (const GroupSummary* g : groups)
      curves.push_back({name_of(g->group, group_names), &g->ttft_ms});
    body += cdf_svg(run.label, "TTFT (ms)", curves, 0, 510);
  }
  body +=
      "</div>\n<footer>Jain index: 1 when all groups get the same output rate, 1/n when one "
      "gets all.</footer>";
  return html_page(title, body);
}

}  // namespace weir::bench
