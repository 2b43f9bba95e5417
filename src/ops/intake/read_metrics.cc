#include "ops/intake/read_metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "ops/intake/metric_table.h"
#include "ops/intake/rounded.h"

namespace weir::ops {
namespace {

constexpr double kMsPerS = 1000;
constexpr double kLeastOfBefore = 0.9;

bool is_first_rank(const text::MetricSample& s) {
  for (const char* label : {"tp_rank", "pp_rank"}) {
    const std::string_view rank = s.label(label);
    if (!rank.empty() && rank != "0") return false;
  }
  return true;
}

bool passes(const text::MetricSample& s, std::string_view filter) {
  const size_t equals = filter.find('=');
  return equals == std::string_view::npos ||
         s.label(filter.substr(0, equals)) == filter.substr(equals + 1);
}

// Of all that is read here nothing is below 0, rounding aside.
bool counts(const text::MetricSample& s) { return std::isfinite(s.value) && s.value > -1e-6; }

// The values of the series of one metric.
std::vector<double> series(const Scrape& scrape, std::string_view metric, std::string_view filter) {
  std::vector<double> out;
  for (const text::MetricSample& s : scrape.samples) {
    if (s.name == metric && is_first_rank(s) && passes(s, filter) && counts(s))
      out.push_back(s.value);
  }
  return out;
}

std::optional<double> sum_of(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

std::optional<double> bound_of(std::string_view le) {
  if (le == "+Inf" || le == "Inf" || le == "inf") return std::numeric_limits<double>::infinity();
  double v = 0;
  const auto [end, error] = std::from_chars(le.data(), le.data() + le.size(), v);
  if (error != std::errc() || end != le.data() + le.size() || !std::isfinite(v))
    return std::nullopt;
  return v;
}

// All series of a histogram together; nullopt when there is none.
std::optional<CumulativeHistogram> histogram(const Scrape& scrape, std::string_view metric) {
  const std::string name(metric);
  std::map<double, double> buckets;
  CumulativeHistogram h;
  bool there = false;
  for (const text::MetricSample& s : scrape.samples) {
    if (!s.name.starts_with(name) || !is_first_rank(s) || !counts(s)) continue;
    const std::string_view ending = std::string_view(s.name).substr(name.size());
    if (ending == "_sum") h.sum += s.value;
    if (ending == "_count") h.count += s.value, there = true;
    if (ending != "_bucket") continue;
    if (const auto bound = bound_of(s.label("le"))) buckets[*bound] += s.value;
  }
  if (!there) return std::nullopt;
  double before = 0;
  for (const auto& [bound, count] : buckets) {
    // Read while requests end, one may fall behind by a few; what falls far is no histogram.
    if (count < before * kLeastOfBefore) return std::nullopt;
    before = std::max(before, count);
    h.buckets.emplace_back(bound, before);
  }
  return h;
}

class Reader {
 public:
  Reader(const Scrape& scrape, const Scrape* earlier, const std::string& source)
      : scrape_(scrape), earlier_(earlier), source_(source) {}

  Status row(const MetricRow& r) {
    if (answered_.contains(r.field)) return {};
    switch (r.kind) {
      case MetricKind::kSum:
      case MetricKind::kMean:
        return gauge(r);
      case MetricKind::kRate:
      case MetricKind::kMaxRate:
        return rate(r);
      case MetricKind::kRatio:
        return ratio(r);
      case MetricKind::kQuantiles:
      case MetricKind::kLengths:
      case MetricKind::kAverageMs:
        return distribution(r);
      case MetricKind::kFlag:
        flag(r);
        return {};
    }
    return {};
  }

  void concurrency() {
    const auto running = out_.intake.number("observed.running");
    if (!running) return;
    const double all = *running + out_.intake.number("observed.waiting").value_or(0);
    if (all < 0.5) {
      out_.skipped.emplace_back(
          "traffic.concurrency: no request was running or waiting; measure under load");
      return;
    }
    put("traffic.concurrency", static_cast<int64_t>(std::llround(all)),
        fmt::format("{}: running + waiting{}", source_, moment()));
  }

  void engine(std::string_view name) {
    put("stack.engine", std::string(name), fmt::format("{}: the names of its metrics", source_));
  }

  MetricsReading take() { return std::move(out_); }

 private:
  std::string moment() const { return earlier_ ? ", mean of two scrapes" : ", at one moment"; }
  std::string span() const {
    return earlier_ ? fmt::format("over {:.3g} s", scrape_.at_s - earlier_->at_s)
                    : std::string("since the server started");
  }
  std::string evidence(const MetricRow& r, const std::string& when) const {
    return fmt::format("{}: {}{}{}{}", source_, r.metric, when, r.note.empty() ? "" : "; ", r.note);
  }

  void put(const std::string& field, config::Value value, std::string evidence) {
    const Status status =
        out_.intake.set(field, std::move(value), Origin::kMeasured, std::move(evidence));
    if (!status.ok()) out_.skipped.push_back(status.error().message);
  }

  void answer(const MetricRow& r, double value, const std::string& when) {
    if (!std::isfinite(value)) return;
    answered_.insert(r.field);
    put(std::string(r.field), rounded(value), evidence(r, when));
  }

  static Error restarted(std::string_view metric) {
    return make_error(ErrorCode::kCorrupt,
                      "{} went back between the two scrapes: the server was restarted; try again",
                      metric);
  }

  Status gauge(const MetricRow& r) {
    double sum = 0;
    double scrapes = 0;
    for (const Scrape* s : {&scrape_, earlier_}) {
      if (s == nullptr) continue;
      const std::vector<double> values = series(*s, r.metric, r.other);
      const auto all = sum_of(values);
      if (!all) continue;
      sum += r.kind == MetricKind::kMean ? *all / static_cast<double>(values.size()) : *all;
      ++scrapes;
    }
    if (scrapes > 0) answer(r, sum / scrapes, moment());
    return {};
  }

  // How far a counter came between the scrapes; nullopt where either does not have it.
  Result<std::optional<double>> step(const MetricRow& r, std::string_view metric) {
    const auto value = [&](const Scrape& s) {
      const std::vector<double> values = series(s, metric, "");
      if (r.kind == MetricKind::kMaxRate && !values.empty())
        return std::optional(*std::max_element(values.begin(), values.end()));
      return sum_of(values);
    };
    const auto after = value(scrape_);
    // A counter with labels has no series before its first event.
    const auto before = earlier_ == nullptr ? std::nullopt : value(*earlier_);
    if (!after) return std::optional<double>();
    if (*after < before.value_or(0)) return restarted(metric);
    return std::optional(*after - before.value_or(0));
  }

  Status rate(const MetricRow& r) {
    if (earlier_ == nullptr || !(scrape_.at_s > earlier_->at_s)) return {};
    WEIR_ASSIGN(const std::optional<double> events, step(r, r.metric));
    if (events) answer(r, *events / (scrape_.at_s - earlier_->at_s), " " + span());
    return {};
  }

  Status ratio(const MetricRow& r) {
    WEIR_ASSIGN(const std::optional<double> part, step(r, r.metric));
    WEIR_ASSIGN(const std::optional<double> whole, step(r, r.other));
    if (part && whole && *whole > 0)
      answer(r, std::min(*part / *whole, 1.0), fmt::format(" / {} {}", r.other, span()));
    return {};
  }

  Status distribution(const MetricRow& r) {
    auto now = histogram(scrape_, r.metric);
    if (!now || !(now->count > 0)) return {};
    std::string when = span();
    if (earlier_ != nullptr) {
      if (const auto before = histogram(*earlier_, r.metric)) {
        if (before->count > now->count) return restarted(r.metric);
        if (before->count < now->count) {
          subtract(*now, *before);
        } else {
          when = "since the server started, none in the time between";
        }
      }
    }
    const double mean = now->sum / now->count;
    const std::string field(r.field);
    const std::string told = fmt::format(" {} ({} values)", when, std::llround(now->count));
    if (r.kind == MetricKind::kAverageMs) {
      answer(r, mean * kMsPerS, told);
      return {};
    }
    answered_.insert(r.field);
    const bool lengths = r.kind == MetricKind::kLengths;
    if (lengths) put(field + "_mean", rounded(mean), evidence(r, told));
    if (now->buckets.empty() || std::isinf(now->buckets.front().first)) return {};
    for (const int percent : {50, 95, 99}) {
      const HistogramQuantile q = histogram_quantile(*now, percent / 100.0);
      put(fmt::format("{}_p{}", field, percent), rounded(q.value * (lengths ? 1 : kMsPerS)),
          evidence(r, told + (q.beyond ? "; at least, it is behind the last bucket"
                                       : "; interpolated within a bucket")));
    }
    return {};
  }

  static void subtract(CumulativeHistogram& now, const CumulativeHistogram& before) {
    now.sum -= before.sum;
    now.count -= before.count;
    double most = 0;
    for (auto& [bound, count] : now.buckets) {
      const auto it = std::find_if(before.buckets.begin(), before.buckets.end(),
                                   [b = bound](const auto& bucket) { return bucket.first == b; });
      if (it != before.buckets.end()) count -= it->second;
      most = count = std::max(count, most);
    }
  }

  void flag(const MetricRow& r) {
    for (const text::MetricSample& s : scrape_.samples) {
      if (s.name != r.metric) continue;
      const std::string_view value = s.label(r.other);
      const bool yes = value == "True" || value == "true" || value == "1";
      const bool no = value == "False" || value == "false" || value == "0";
      if (!yes && !no) continue;
      answered_.insert(r.field);
      put(std::string(r.field), yes, evidence(r, fmt::format(", label {}", r.other)));
      return;
    }
  }

  const Scrape& scrape_;
  const Scrape* earlier_;
  const std::string& source_;
  MetricsReading out_;
  std::set<std::string_view> answered_;
};

}  // namespace

Result<std::string_view> engine_of(std::span<const text::MetricSample> samples) {
  if (std::any_of(samples.begin(), samples.end(),
                  [](const text::MetricSample& s) { return s.name.starts_with("weir_gateway_"); }))
    return make_error(ErrorCode::kUnsupported,
                      "these are the metrics of weir gateway, which stands before engines: read "
                      "those of the servers behind it");
  for (const EnginePrefix& p : engine_prefixes()) {
    for (const text::MetricSample& s : samples) {
      if (s.name.starts_with(p.prefix)) return p.engine;
    }
  }
  constexpr size_t kNames = 3;
  std::string seen;
  for (size_t i = 0; i < std::min(samples.size(), kNames); ++i)
    seen += fmt::format("{}{}", i == 0 ? "" : ", ", samples[i].name);
  return make_error(ErrorCode::kUnsupported,
                    "no engine that is known has these metrics ({}); known are vLLM, SGLang, "
                    "TensorRT-LLM (trtllm-serve shows them at /prometheus/metrics, Triton at port "
                    "8002), llama.cpp (llama-server --metrics) and weir",
                    seen.empty() ? "none" : seen);
}

HistogramQuantile histogram_quantile(const CumulativeHistogram& h, double share) {
  const double rank = share * std::max(h.count, h.buckets.back().second);
  double low = 0;
  double below = 0;
  for (const auto& [bound, count] : h.buckets) {
    if (std::isinf(bound)) break;
    if (count >= rank && count > below) {
      const double from = std::min(low, bound);
      return {from + (bound - from) * (rank - below) / (count - below), false};
    }
    low = bound;
    below = count;
  }
  return {low, true};
}

Result<MetricsReading> intake_of_metrics(const Scrape& scrape, const Scrape* earlier,
                                         const std::string& source) {
  WEIR_ASSIGN(const std::string_view engine, engine_of(scrape.samples));
  Reader reader(scrape, earlier, source);
  reader.engine(engine);
  for (const MetricRow& row : metric_rows()) {
    if (row.engine == rows_of(engine)) WEIR_TRY(reader.row(row));
  }
  reader.concurrency();
  return reader.take();
}

}  // namespace weir::ops
