#include "plot/svg_parts.h"

#include <fmt/format.h>

#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::plot {
namespace {

constexpr size_t kMaxTicks = 20;
constexpr size_t kLeastTicks = 3;

}  // namespace

std::string tick_text(double v) {
  std::string plain = fmt::format("{:.6g}", v);
  if (std::abs(v) < 1000 || plain.find('e') != std::string::npos) return plain;
  return count_text(static_cast<int64_t>(v));
}

std::string text_at(double x, double y, std::string_view css, std::string_view anchor,
                    std::string_view content) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>)", x, y,
                     css, anchor, escaped(content));
}

std::string line_at(double x0, double y0, double x1, double y1, std::string_view css) {
  return fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>)", x0,
                     y0, x1, y1, css);
}

std::string rect_at(double x, double y, double width, double height, std::string_view css) {
  return fmt::format(
      R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5" class="{}"/>)", x, y,
      width, height, css);
}

std::string open_svg(double width, double height, std::string_view title) {
  return fmt::format(
             R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0f} {:.0f}" class="plot" role="img" aria-label="{}">)",
             width, height, escaped(title)) +
         text_at(kLeft, 18, "title", "start", title);
}

double legend_width(const LegendEntries& entries) {
  double width = 0;
  for (const auto& [name, css] : entries)
    width += kCharacterPx * static_cast<double>(name.size()) + 29;
  return width;
}

std::vector<LegendEntries> legend_lines(const LegendEntries& entries, double width) {
  std::vector<LegendEntries> lines;
  double left = 0;
  for (const auto& entry : entries) {
    const double wanted = legend_width({entry});
    if (lines.empty() || wanted > left) {
      lines.emplace_back();
      left = width;
    }
    lines.back().push_back(entry);
    left -= wanted;
  }
  return lines;
}

std::string legend(const LegendEntries& entries, double right, double y) {
  std::string out;
  double x = right;
  for (size_t i = entries.size(); i-- > 0;) {
    const auto& [name, css] = entries[i];
    x -= kCharacterPx * static_cast<double>(name.size());
    out += text_at(x, y, "key", "start", name);
    x -= 15;
    out += rect_at(x, y - 8, 10, 10, css);
    x -= 14;
  }
  return out;
}

std::string y_axis(const Scale& x, const Scale& y, std::string_view label) {
  std::string out;
  for (const double v : ticks(y.low, y.high, 4, y.log)) {
    out += line_at(x.from, y.at(v), x.to, y.at(v), "grid");
    out += text_at(x.from - 8, y.at(v) + 4, "tick", "end", tick_text(v));
  }
  return out +
         fmt::format(
             R"#(<text x="14" y="{0:.1f}" class="label" text-anchor="middle" transform="rotate(-90 14 {0:.1f})">{1}</text>)#",
             (y.from + y.to) / 2, escaped(label));
}

std::string x_axis(const Scale& x, double floor, std::string_view label, double top) {
  std::string out;
  const int wanted = std::max(2, static_cast<int>((x.to - x.from) / 80));
  for (const double v : ticks(x.low, x.high, wanted, x.log)) {
    if (top >= 0) out += line_at(x.at(v), top, x.at(v), floor, "grid");
    out += line_at(x.at(v), floor, x.at(v), floor + 4, "axis");
    out += text_at(x.at(v), floor + 17, "tick", "middle", tick_text(v));
  }
  out += line_at(x.from, floor, x.to, floor, "axis");
  return out + text_at((x.from + x.to) / 2, floor + 34, "label", "middle", label);
}

std::vector<double> ticks(double low, double high, int wanted, bool log) {
  std::vector<double> out;
  if (!(high > low) || !std::isfinite(low) || !std::isfinite(high) || (log && low <= 0)) return out;
  if (log) {
    const double decades = std::log10(high / low);
    const int stride = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
    const int last = static_cast<int>(std::floor(std::log10(high)));
    for (int p = static_cast<int>(std::floor(std::log10(low))); p <= last; p += stride) {
      for (const double m : {1.0, 2.0, 5.0}) {
        const double v = m * std::pow(10.0, static_cast<double>(p));
        if (v < low * 0.9999 || v > high * 1.0001 || out.size() >= kMaxTicks) continue;
        if (m == 1 || decades * 3 <= wanted + 2) out.push_back(v);
      }
    }
    if (out.size() >= kLeastTicks) return out;
    out.clear();  // within a decade even steps say more
  }
  const double raw = (high - low) / std::max(wanted, 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double m : {1.0, 2.0, 5.0}) {
    if (raw <= m * power * 1.0001) {
      step = m * power;
      break;
    }
  }
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; out.size() < kMaxTicks; ++i) {
    const double v = (first + i) * step;
    if (v > high + 1e-9 * step) break;
    out.push_back(std::abs(v) < 1e-12 * step ? 0 : v);
  }
  return out;
}

std::string svg_style() {
  return R"(:root{--ink:#1b1f24;--soft:#5b6470;--rule:#d0d5db;--grid:#eceef1;--paper:#fff;--card:#f7f8fa;
--c0:#2f6fde;--c1:#d9822b;--c2:#1a9a86;--c3:#8a63d2;--c4:#d1434b;--c5:#8b95a1;--good:#1a7f4b;--bad:#c0343c}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--rule:#3a424c;--grid:#262c33;--paper:#14171b;--card:#1b2026;
--c0:#6ea3ff;--c1:#f0a95a;--c2:#4cc9b4;--c3:#b59af0;--c4:#f2777d;--c5:#7c8794;--good:#4cc38a;--bad:#f2777d}}
svg.plot{display:block;width:100%;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
svg .title{font-size:13px;font-weight:600;fill:var(--ink)}svg .tick,svg .key{fill:var(--soft);font-variant-numeric:tabular-nums}
svg .label{fill:var(--soft)}svg .note{fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--rule)}svg .mark{stroke:var(--soft);stroke-dasharray:3 3}
svg .line{fill:none;stroke-width:1.8;stroke-linejoin:round}svg .dashed{stroke-dasharray:5 4}svg .area{opacity:.16}
svg .dot{stroke:var(--paper);stroke-width:1.5}svg .ring{fill:none;stroke:var(--ink);stroke-width:1.6}svg .band{fill:var(--grid);opacity:.8}
svg .whisker{stroke:var(--ink);stroke-width:1.2;opacity:.75}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
svg .light{opacity:.38}
)";
}

}  // namespace weir::plot
