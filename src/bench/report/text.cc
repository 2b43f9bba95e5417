#include "bench/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/report/format.h"
#include "text/utf8.h"

namespace weir::bench {
namespace {

// Columns that the text takes, counting a character as one.
size_t width_of(std::string_view s) {
  return static_cast<size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return (c & '\xC0') != '\x80'; }));
}

std::string padded(const std::string& s, size_t width, bool left) {
  const std::string space(width - std::min(width, width_of(s)), ' ');
  return left ? s + space : space + s;
}

// Rows of cells; the first column to the left, the others to the right.
class Table {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const {
    std::vector<size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    for (const auto& row : rows_) {
      std::string line = " ";
      for (size_t i = 0; i < row.size(); ++i)
        line += (i == 0 ? " " : "  ") + padded(row[i], widths[i], i == 0);
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string verdict_line(const LoadSummary& run, bool colour) {
  std::string text = slo_verdict(run);
  if (text.empty()) return "";
  const Estimate& share = run.goodput.share;
  text +=
      fmt::format(", 95 % interval {} to {}", percent_text(share.low), percent_text(share.high));
  if (colour) text = fmt::format("\x1b[{}m{}\x1b[0m", run.goodput.met ? "1;32" : "1;31", text);
  std::string out = text + "\n";
  const Goodput& g = run.goodput;
  std::string broke;
  const auto say = [&](int64_t n, const char* what) {
    if (n > 0) broke += fmt::format("{}{} {}", broke.empty() ? "" : ", ", count_text(n), what);
  };
  say(g.not_ok, "refused or failed");
  say(g.broke_ttft, "over ttft");
  say(g.broke_itl, "over itl");
  say(g.broke_tpot, "over tpot");
  say(g.broke_e2e, "over e2e");
  if (!broke.empty()) out += "  not within: " + broke + "\n";
  return out;
}

std::string rates(const LoadSummary& run) {
  Table t;
  const auto add = [&](const char* name, const Estimate& e, const char* unit) {
    if (e.known()) t.row({name, number_text(e.value), unit, interval_text(e)});
  };
  t.row({"rate", "", "", "95 % interval"});
  add("requests, ended well", run.requests_per_s, "req/s");
  add("output tokens", run.output_tokens_per_s, "tok/s");
  add("prompt tokens", run.prompt_tokens_per_s, "tok/s");
  add("total tokens", run.total_tokens_per_s, "tok/s");
  if (run.slo.any()) {
    add("goodput", run.goodput.requests_per_s, "req/s");
    add("goodput", run.goodput.output_tokens_per_s, "tok/s");
  }
  return t.text();
}

// Seven columns of numbers, and a line of intervals below each row.
std::string latencies(const LoadSummary& run) {
  Table t;
  t.row({"ms", "mean", "p50", "p90", "p95", "p99", "p99.9", "max", "count"});
  for (const LatencyRow& row : latency_rows(run)) {
    const Distribution& d = *row.values;
    std::vector<std::string> line = {row.name, number_text(d.mean.value)};
    std::vector<std::string> interval = {"", interval_text(d.mean)};
    for (const Estimate& q : d.quantiles) {
      line.push_back(number_text(q.value));
      interval.push_back(interval_text(q));
    }
    line.insert(line.end(), {number_text(d.max), count_text(d.count)});
    t.row(std::move(line));
    // Values that are all the same need no interval.
    const bool any = std::any_of(interval.begin(), interval.end(),
                                 [](const std::string& s) { return !s.empty(); });
    if (any && d.min < d.max) t.row(std::move(interval));
  }
  return t.text();
}

std::string errors(const LoadSummary& run) {
  if (run.errors.empty()) return "";
  std::string out = "\nNot ended well\n";
  for (const ErrorClass& e : run.errors) {
    out += fmt::format("  {:>7}  {}{}\n", count_text(e.count), error_name(e),
                       e.message.empty() ? "" : ": " + printable(e.message));
  }
  if (run.errors_not_listed > 0)
    out += fmt::format("  {:>7}  of further kinds\n", count_text(run.errors_not_listed));
  if (run.retry_after_s.count > 0) {
    out +=
        fmt::format("  Retry-After of refusals: median {} s, longest {} s\n",
                    number_text(run.retry_after_s.p50().value), number_text(run.retry_after_s.max));
  }
  return out;
}

std::string steady(const LoadSummary& run) {
  const SteadyState& s = run.steady;
  std::string out = "\nSteady state: " + printable(s.how) + "\n";
  if (!s.found) return out;
  return out + fmt::format(
                   "  within it: {} output tok/s; TTFT p50 {}, p95 {}; ITL p50 {}, p95 {} "
                   "({} requests)\n",
                   number_text(s.output_tokens_per_s.value), ms_text(s.ttft_p50_ms.value),
                   ms_text(s.ttft_p95_ms.value), ms_text(s.itl_p50_ms.value),
                   ms_text(s.itl_p95_ms.value), count_text(s.requests));
}

std::string run_text(const LoadSummary& run, const TextOptions& options) {
  std::string out = verdict_line(run, options.colour);
  out += fmt::format("{}: {}, {} s\n", printable(run.label), load_text(run),
                     number_text(run.duration_s));
  out += fmt::format(
      "{} requests: {} ended well, {} refused, {} failed; prompt tokens from the "
      "cache: {}\n\n",
      count_text(run.requests), count_text(run.ok), count_text(run.refused), count_text(run.failed),
      percent_text(run.cached_share));
  out += rates(run) + "\n" + latencies(run);
  out += "  the second line of each row: 95 % interval; \"?\": too few requests for a bound\n";
  return out + errors(run) + steady(run);
}

std::string sweep_text(const Report& report) {
  const Sweep& sweep = report.sweep;
  Table t;
  t.row({"run", "req/s", "out tok/s", "TTFT p50", "TTFT p95", "ITL p50", "ITL p95", "E2E p95",
         "refused", "failed", "in SLO", ""});
  for (size_t i = 0; i < sweep.points.size(); ++i) {
    const SweepPoint& p = sweep.points[i];
    const LoadSummary& r = report.runs[p.run];
    std::string mark = sweep.knee == i ? "knee" : "";
    if (sweep.highest_within_slo == i) mark += mark.empty() ? "highest in SLO" : ", highest in SLO";
    t.row({printable(r.label), number_text(r.requests_per_s.value),
           number_text(r.output_tokens_per_s.value), ms_text(r.ttft_ms.p50().value),
           ms_text(r.ttft_ms.p95().value), ms_text(r.itl_ms.p50().value),
           ms_text(r.itl_ms.p95().value), ms_text(r.e2e_ms.p95().value), count_text(r.refused),
           count_text(r.failed), report.slo.any() ? percent_text(p.slo_share) : "–", mark});
  }
  return printable(sweep.note) + "\n\n" + t.text();
}

}  // namespace

std::string report_text(const Report& report, const TextOptions& options) {
  std::string out;
  if (!report.sweep.points.empty()) out += sweep_text(report);
  for (const LoadSummary& run : report.runs) {
    if (!out.empty()) out += "\n" + std::string(72, '-') + "\n";
    out += run_text(run, options);
  }
  return out.empty() ? "no runs\n" : out;
}

}  // namespace weir::bench
