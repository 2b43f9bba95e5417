// The page of traffic.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/trace/traffic.h"
#include "plot/page.h"
#include "plot/svg_plot.h"
#include "plot/text.h"

namespace weir::ops {
namespace {

using plot::count_text;
using plot::escaped;
using plot::number_text;

constexpr double kWidth = 1032;
constexpr size_t kMaxPoints = 1500;  // of the arrivals

size_t colour_of(Family family) { return static_cast<size_t>(family) % plot::kSeriesColours; }

// The best fit solid, the others dashed; share at or below in percent.
plot::Series fitted_series(const TraceQuantity& q, const Fit& fit, double low, double high) {
  constexpr int kSteps = 160;
  plot::Series s;
  s.name = family_name(fit.distribution.family);
  s.colour = colour_of(fit.distribution.family);
  s.dashed = &fit != &q.fits.fits.front();
  const double zeros = static_cast<double>(q.fits.zeros) / static_cast<double>(q.count);
  for (int i = 0; i <= kSteps; ++i) {
    const double x = low * std::pow(high / low, i / static_cast<double>(kSteps));
    s.points.emplace_back(x, 100 * (zeros + (1 - zeros) * cdf(fit.distribution, x)));
  }
  return s;
}

std::string cdf_plot(const TraceQuantity& q, const char* unit) {
  // From the lowest hundredth above 0: what lies below would take half of a logarithmic axis.
  double low = 0;
  for (const auto& [share, value] : q.quantiles) {
    if (share >= 0.01 && value > 0) {
      low = value * 0.8;
      break;
    }
  }
  const double high = q.at(1) * 1.05;
  if (low <= 0 || !(high > low)) return "";
  plot::Plot p;
  p.title = "Cumulative distribution, the best fit solid";
  p.width = kWidth;
  p.height = 300;
  p.x = {.label = unit, .log = true, .min = low, .max = high};
  p.y = {.label = "share at or below (%)", .log = false, .min = 0, .max = 100};
  plot::Series trace{.name = "trace", .points = {}, .colour = 5, .area = true};
  for (const auto& [share, value] : q.quantiles) {
    if (value >= low) trace.points.emplace_back(value, 100 * share);
  }
  p.series.push_back(std::move(trace));
  for (const Fit& f : q.fits.fits) p.series.push_back(fitted_series(q, f, low, high));
  p.marks = {{.x = q.at(0.5), .y = {}, .text = "p50"}, {.x = q.at(0.95), .y = {}, .text = "p95"}};
  return plot::plot_svg(p);
}

std::string parameters_text(const Distribution& d) {
  std::string out;
  const auto names = parameter_names(d.family);
  for (size_t i = 0; i < names.size(); ++i)
    out += fmt::format("{}{} {:.4g}", out.empty() ? "" : ", ", names[i], d.p[i]);
  return out;
}

std::string fits_table(const TraceQuantity& q) {
  if (q.fits.fits.empty())
    return fmt::format("<p class=\"soft\">No distribution is fitted: {}.</p>\n",
                       escaped(q.fits.why_none));
  std::vector<std::vector<std::string>> rows = {
      {"Distribution", "parameters", "KS distance", "AIC above the best", "log likelihood"}};
  const double best = q.fits.fits.front().aic;
  for (const Fit& f : q.fits.fits) {
    rows.push_back({std::string(family_name(f.distribution.family)),
                    parameters_text(f.distribution), fmt::format("{:.3f}", f.ks),
                    number_text(f.aic - best), number_text(f.log_likelihood)});
  }
  std::string out = plot::html_table(rows);
  const Fit& first = q.fits.fits.front();
  out += fmt::format(
      "<p class=\"soft\">{} has the least AIC. {}</p>\n", family_name(first.distribution.family),
      q.fits.close()
          ? fmt::format("Its KS distance is at most {}: draws from it are like the trace.",
                        kCloseKs)
          : fmt::format("Its KS distance is above {}: it is not close; draw from the quantiles.",
                        kCloseKs));
  if (q.fits.zeros > 0)
    out += fmt::format(
        "<p class=\"soft\">{} values are 0 ({}); the fits are of the others.</p>\n",
        count_text(static_cast<int64_t>(q.fits.zeros)),
        plot::percent_text(static_cast<double>(q.fits.zeros) / static_cast<double>(q.count)));
  if (q.fits.fitted < q.count - q.fits.zeros)
    out += fmt::format("<p class=\"soft\">Fitted to {} of their quantiles.</p>\n",
                       count_text(static_cast<int64_t>(q.fits.fitted)));
  return out;
}

std::string section(const TraceQuantity& q, const char* title, const char* unit) {
  if (q.count == 0) return "";
  return fmt::format("<h2>{}</h2>\n", title) + cdf_plot(q, unit) + fits_table(q);
}

std::string tiles(const TraceTraffic& t) {
  std::string out = "<div class=\"tiles\">\n";
  const auto tile = [&out](const char* name, const std::string& value, const std::string& below) {
    out += plot::html_tile(name, value, below);
  };
  tile("Requests", count_text(static_cast<int64_t>(t.requests)),
       t.skipped > 0 ? count_text(static_cast<int64_t>(t.skipped)) + " failed ones left out" : "");
  tile("Arrivals, mean", number_text(t.requests_per_s) + " /s",
       t.peak_per_s ? number_text(*t.peak_per_s) + " /s in the busiest minute" : "");
  if (t.arrival_cv)
    tile("Gaps, sd over mean", number_text(*t.arrival_cv), "1 is a Poisson process");
  tile("Prompt, median", number_text(t.prompt_tokens.at(0.5)) + " tokens",
       "mean " + number_text(t.prompt_tokens.mean));
  tile("Output, median", number_text(t.output_tokens.at(0.5)) + " tokens",
       "mean " + number_text(t.output_tokens.mean));
  if (t.shared_prefix_share)
    tile("Prompt seen before", plot::percent_text(*t.shared_prefix_share),
         "of its tokens, by blocks");
  return out + "</div>\n";
}

std::string quantile_table(const TraceTraffic& t) {
  std::vector<std::vector<std::string>> rows = {
      {"", "mean", "p50", "p90", "p95", "p99", "p99.9", "min", "max"}};
  const auto row = [&rows](const char* name, const TraceQuantity& q) {
    if (q.count == 0) return;
    std::vector<std::string> cells = {name, number_text(q.mean)};
    for (const double share : {0.5, 0.9, 0.95, 0.99, 0.999, 0.0, 1.0})
      cells.push_back(number_text(q.at(share)));
    rows.push_back(std::move(cells));
  };
  row("Prompt, tokens", t.prompt_tokens);
  row("Output, tokens", t.output_tokens);
  row("Gap between arrivals, s", t.gap_s);
  return plot::html_table(rows);
}

std::string arrivals_plot(const TraceTraffic& t) {
  const bool minutes = !t.minutely.per_s.empty() && t.minutely.per_s.size() <= kMaxPoints;
  const TraceRates& rates = minutes ? t.minutely : t.hourly;
  if (rates.per_s.size() < 2) return "";
  plot::Plot p;
  p.title = minutes ? "Arrivals, by the minute" : "Arrivals, by the hour";
  p.width = kWidth;
  p.height = 220;
  const double unit_s = minutes && t.span_s <= 4 * 3600 ? 60 : 3600;
  p.x = {.label = unit_s == 60 ? "minutes since the first" : "hours since the first",
         .log = false,
         .min = 0,
         .max = t.span_s / unit_s};
  p.y = {.label = "requests per s", .log = false, .min = {}, .max = {}};
  plot::Series s{.name = "", .points = {}, .colour = 0, .area = true};
  // A last bin that is not whole would stand out by chance.
  const double whole = static_cast<double>(rates.per_s.size()) * rates.bin_s;
  const size_t shown = rates.per_s.size() - (rates.per_s.size() > 2 && t.span_s < whole ? 1 : 0);
  for (size_t i = 0; i < shown; ++i)
    s.points.emplace_back((static_cast<double>(i) + 0.5) * rates.bin_s / unit_s, rates.per_s[i]);
  p.series.push_back(std::move(s));
  p.marks = {{.x = {}, .y = t.requests_per_s, .text = "mean"}};
  return "<h2>Arrivals over time</h2>\n" + plot::plot_svg(p);
}

}  // namespace

std::string traffic_html(const TraceTraffic& t) {
  const std::string name(t.source.substr(t.source.find_last_of('/') + 1));
  std::string body = fmt::format("<h1>Traffic of {}</h1>\n<p class=\"soft\">{}; format {}.</p>\n",
                                 escaped(name), trace_extent(t), escaped(t.format));
  body += tiles(t) + quantile_table(t) + arrivals_plot(t);
  body += section(t.prompt_tokens, "Prompt tokens", "tokens");
  body += section(t.output_tokens, "Output tokens", "tokens");
  body += section(t.gap_s, "Gaps between arrivals", "s");
  body +=
      "<footer>weir intake --trace. Fits by maximum likelihood; KS: the largest distance between "
      "the trace's cumulative distribution and the fit's.</footer>";
  return plot::html_page("Traffic of " + name, body);
}

}  // namespace weir::ops
