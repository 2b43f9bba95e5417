#include "bench/report/eval_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/format.h"
#include "bench/report/html_parts.h"
#include "plot/svg_parts.h"
#include "plot/svg_plot.h"

namespace weir::bench {
namespace {

std::string_view verdict_class(ops::Verdict v) {
  if (v == ops::Verdict::kPass) return "good";
  return v == ops::Verdict::kFail ? "bad" : "";
}

std::string figure(double v) { return std::isfinite(v) ? fmt::format("{:.4g}", v) : "?"; }

std::string head(const ops::Comparison& c, const ops::Gate& gate) {
  size_t passed = 0;
  for (const ops::RuleResult& r : c.rules) passed += r.verdict == ops::Verdict::kPass ? 1 : 0;
  return fmt::format(
      "<div class=\"verdict {}\"><b>{}</b>{} of {} rules pass. Intervals at {} %, items for a "
      "power of {} %, {}.</div>\n",
      verdict_class(c.verdict), ops::verdict_name(c.verdict), passed, c.rules.size(),
      figure(100 * gate.confidence), figure(100 * gate.power),
      gate.holm ? "failures corrected by Holm" : "no correction for several rules");
}

std::string rules_table(const ops::Comparison& c) {
  std::vector<std::vector<std::string>> rows = {
      {"task", "base", "candidate", "loss", "margin", "items", "needed", "McNemar p", "verdict"}};
  for (const ops::RuleResult& r : c.rules) {
    rows.push_back({fmt::format("{}<small>{}, {} is better</small>", escaped(r.rule.task),
                                escaped(r.rule.metric),
                                r.rule.higher_is_better.value_or(true) ? "higher" : "lower"),
                    figure(r.base), figure(r.candidate),
                    fmt::format("{}<small>{} to {}</small>", figure(r.loss), figure(r.loss_low),
                                figure(r.loss_high)),
                    figure(r.rule.margin), count_text(r.items), count_text(r.items_needed),
                    r.binary ? fmt::format("{}<small>{} against {}</small>", figure(r.p_mcnemar),
                                           r.only_base, r.only_candidate)
                             : "–",
                    fmt::format("{}<span class=\"said soft\">{}</span>",
                                ops::verdict_name(r.verdict), escaped(r.why))});
  }
  return html_table(rows);
}

// One row a rule, in margins so that rules of different units share an axis: 0 is as good as the
// base, 1 the margin.
std::string losses_svg(const ops::Comparison& c) {
  constexpr double kWidth = 1000;
  constexpr double kRow = 30;
  constexpr double kNames = 230;
  double low = -0.5;
  double high = 1.5;
  for (const ops::RuleResult& r : c.rules) {
    if (std::isfinite(r.loss_low)) low = std::min(low, 1.1 * r.loss_low / r.rule.margin);
    if (std::isfinite(r.loss_high)) high = std::max(high, 1.1 * r.loss_high / r.rule.margin);
  }
  const double height = plot::kTop + plot::kBottom + kRow * static_cast<double>(c.rules.size());
  const double floor = height - plot::kBottom;
  const plot::Scale x{.low = low, .high = high, .from = kNames, .to = kWidth - plot::kRight};
  std::string out = plot::open_svg(kWidth, height, "Loss against the margin, with intervals");
  out +=
      plot::x_axis(x, floor, "loss in margins (0: as good as the base, 1: the margin)", plot::kTop);
  out += plot::line_at(x.at(0), plot::kTop, x.at(0), floor, "axis");
  out += plot::line_at(x.at(1), plot::kTop, x.at(1), floor, "mark");
  double y = plot::kTop + kRow / 2;
  for (const ops::RuleResult& r : c.rules) {
    out +=
        plot::text_at(kNames - 10, y + 4, "tick", "end",
                      fmt::format("{} {}", r.rule.task.substr(0, 22), r.rule.metric.substr(0, 12)));
    const std::string_view css = r.verdict == ops::Verdict::kPass   ? "f2"
                                 : r.verdict == ops::Verdict::kFail ? "f4"
                                                                    : "f5";
    const double from = std::isfinite(r.loss_low) ? r.loss_low / r.rule.margin : low;
    const double to = std::isfinite(r.loss_high) ? r.loss_high / r.rule.margin : high;
    out += plot::rect_at(x.at(from), y - 3, std::max(1.0, x.at(to) - x.at(from)), 6,
                         fmt::format("{} light", css));
    out += plot::rect_at(x.at(r.loss / r.rule.margin) - 3, y - 7, 6, 14, css);
    y += kRow;
  }
  return out + "</svg>\n";
}

// Histograms of the tasks that have one with equal edges on both sides.
std::string histograms(const ops::EvalRun& base, const ops::EvalRun& candidate) {
  std::string out;
  for (const ops::EvalTask& task : candidate.tasks) {
    const ops::EvalHistogram& h = task.histogram;
    if (h.counts.empty()) continue;
    plot::Plot p;
    p.title = task.name;
    p.width = 1000;
    p.x.label = h.name;
    p.x.log = h.edges.front() > 0;
    p.y.label = "tokens";
    p.y.min = 0;
    const auto add = [&p](const std::string& name, const ops::EvalHistogram& of, size_t colour) {
      plot::Series s;
      s.name = name;
      s.colour = colour;
      s.area = true;
      for (size_t i = 0; i < of.counts.size(); ++i) {
        s.points.emplace_back(of.edges[i], static_cast<double>(of.counts[i]));
        s.points.emplace_back(of.edges[i + 1], static_cast<double>(of.counts[i]));
      }
      p.series.push_back(std::move(s));
    };
    const ops::EvalTask* other = base.task(task.name);
    if (other != nullptr && other->histogram.edges == h.edges) add("base", other->histogram, 5);
    add("candidate", h, 0);
    out += plot::plot_svg(p);
  }
  return out.empty() ? "" : "<h2>Histogram</h2>\n" + out;
}

// A text to read: from the left, line ends as a sign.
std::string reading(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\r') continue;
    if (c == '\n') {
      line += "\u21b5 ";
    } else {
      line += c == '\t' ? ' ' : c;
    }
  }
  return fmt::format("<div class=\"said\" style=\"text-align:left\">{}</div>", escaped(line));
}

// The end of a prompt is what the answer follows.
std::string ending(const std::string& text) {
  constexpr size_t kBytes = 360;
  if (text.size() <= kBytes) return reading(text);
  size_t from = text.size() - kBytes;
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
  return reading("\u2026 " + text.substr(from));
}

std::string worst(const ops::Comparison& c, const ops::EvalRun& base) {
  if (c.worst.empty()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"item", reading("prompt"), reading("expected"), reading("base"), reading("candidate")}};
  const auto said = [](const std::string& text, double score) {
    return reading(text) +
           fmt::format("<small style=\"text-align:left\">{}</small>", figure(score));
  };
  for (const ops::WorstItem& w : c.worst) {
    // Of a chunk of KL the result names its worst position, which is the candidate's own: what the
    // base says there is what was expected.
    const bool kl = base.task(w.task)->kind == "kl";
    rows.push_back({fmt::format("{}<small>{} {}</small>", escaped(w.base->id), escaped(w.task),
                                escaped(w.metric)),
                    ending(w.candidate->prompt), kl ? "" : reading(w.candidate->expected),
                    said(kl ? w.candidate->expected : w.base->answer, w.base_score),
                    said(w.candidate->answer, w.candidate_score)});
  }
  return "<h2>Worst prompts</h2>\n" + html_table(rows);
}

std::string about(const ops::EvalRun& run, std::string_view side) {
  return fmt::format("<dt>{}</dt><dd>{} <span class=\"soft\">{} {}</span></dd>\n", side,
                     escaped(run.model.name), escaped(run.model.where),
                     escaped(run.model.identity));
}

}  // namespace

std::string eval_comparison_html(const ops::Comparison& c, const ops::EvalRun& base,
                                 const ops::EvalRun& candidate, const ops::Gate& gate) {
  std::string body = fmt::format("<h1>{} against {}</h1>\n", escaped(candidate.model.name),
                                 escaped(base.model.name));
  body += head(c, gate) + rules_table(c);
  body += "<h2>Losses</h2>\n" + losses_svg(c) + histograms(base, candidate) + worst(c, base);
  body +=
      "<h2>What was compared</h2>\n<dl>\n" + about(base, "base") + about(candidate, "candidate");
  body += fmt::format("<dt>suite</dt><dd>{} <span class=\"soft\">{}</span></dd>\n",
                      escaped(base.suite_name), escaped(base.suite_hash));
  body += fmt::format("<dt>gate</dt><dd>{}</dd>\n</dl>\n",
                      gate.name.empty() ? "default margins" : escaped(gate.name));
  return html_page(fmt::format("{} against {}", candidate.model.name, base.model.name), body);
}

}  // namespace weir::bench
