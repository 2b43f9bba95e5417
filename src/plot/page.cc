#include "plot/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::plot {
namespace {

constexpr const char* kStyle =
    R"(*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}h1{font-size:24px;line-height:1.25;margin:0 0 4px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:17px;margin:40px 0 12px;font-weight:650}h3{font-size:14px;margin:24px 0 8px;font-weight:650}p{margin:6px 0}.soft{color:var(--soft)}
.verdict{margin:20px 0;padding:12px 16px;border-left:4px solid var(--soft);background:var(--card);border-radius:0 6px 6px 0;overflow-wrap:anywhere}
.verdict b{display:block;font-size:16px}.verdict.good{border-color:var(--good)}.verdict.good b{color:var(--good)}.verdict.bad{border-color:var(--bad)}.verdict.bad b{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(152px,1fr));gap:12px;margin:20px 0}
.tile{background:var(--card);border-radius:8px;padding:12px 14px}.tile span{display:block;color:var(--soft);font-size:12px}
.tile b{display:block;font-size:22px;line-height:1.3;font-weight:600;font-variant-numeric:tabular-nums}.tile b i{font-style:normal;font-size:13px;font-weight:400;color:var(--soft)}
.three{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:16px}.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:16px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:6px 8px;text-align:right;vertical-align:top;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{font-weight:500;color:var(--soft);font-size:12px;border-bottom-color:var(--rule);white-space:nowrap}th.text,td.text,th:first-child,td:first-child{text-align:left}th:first-child,td:first-child{padding-left:0}
td small{display:block;color:var(--soft);font-size:11px;white-space:nowrap}td .said{display:block;white-space:normal;min-width:16em;overflow-wrap:anywhere}.tag{display:inline-block;padding:0 7px;border-radius:9px;background:var(--card);color:var(--soft);font-size:11px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 20px;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
details{border-top:1px solid var(--rule);padding:10px 0}summary{cursor:pointer;font-weight:600;font-size:15px}summary .soft{font-weight:400;font-size:13px;margin-left:8px}
footer{margin-top:48px;color:var(--soft);font-size:12px}@media print{details{break-inside:avoid}}
)";

}  // namespace

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n"
      "<title>{}</title>\n<style>\n{}{}</style></head>\n<body><main>\n{}\n</main></body></html>\n",
      escaped(title), svg_style(), kStyle, body);
}

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  // Columns with sentences in them are set like text, the others like numbers.
  std::vector<bool> text(rows.empty() ? 0 : rows[0].size());
  for (const auto& row : rows)
    for (size_t c = 0; c < std::min(row.size(), text.size()); ++c)
      if (row[c].find("class=\"said\"") != std::string::npos) text[c] = true;
  std::string out = "<div class=\"wide\"><table>";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* const kind = r == 0 ? "th" : "td";
    out += "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c)
      out += fmt::format("<{0}{1}>{2}</{0}>", kind,
                         c < text.size() && text[c] ? " class=\"text\"" : "", rows[r][c]);
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string html_tile(std::string_view name, std::string_view value, std::string_view below) {
  // The unit, behind the last space, is set smaller.
  const size_t space = value.rfind(' ');
  const std::string_view unit = space == std::string_view::npos ? "" : value.substr(space);
  return fmt::format("<div class=\"tile\"><span>{}</span><b>{}<i>{}</i></b><span>{}</span></div>\n",
                     escaped(name), escaped(value.substr(0, space)), escaped(unit), escaped(below));
}

}  // namespace weir::plot
