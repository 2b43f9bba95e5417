// traffic.h as a file: written, and read back with every number checked.
#include <fmt/format.h>

#include <cmath>

#include "ops/trace/traffic.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kFormat = "weir-trace/1";
constexpr double kMaxNumber = 1e18;
constexpr size_t kMaxQuantiles = 1000;
constexpr size_t kMaxText = 4096;

Json fits_json(const Fits& fits) {
  Json all = Json::array();
  for (const Fit& f : fits.fits) {
    Json parameters = Json::object();
    const auto names = parameter_names(f.distribution.family);
    for (size_t i = 0; i < names.size(); ++i) parameters.set(names[i], f.distribution.p[i]);
    Json j = Json::object();
    j.set("family", family_name(f.distribution.family));
    j.set("parameters", std::move(parameters));
    j.set("log_likelihood", f.log_likelihood);
    j.set("aic", f.aic);
    j.set("ks", f.ks);
    all.push_back(std::move(j));
  }
  return all;
}

Json quantity_json(const TraceQuantity& q) {
  Json quantiles = Json::array();
  for (const auto& [share, value] : q.quantiles) {
    Json pair = Json::array();
    pair.push_back(share);
    pair.push_back(value);
    quantiles.push_back(std::move(pair));
  }
  Json j = Json::object();
  j.set("count", static_cast<int64_t>(q.count));
  j.set("mean", q.mean);
  j.set("sd", q.sd);
  j.set("quantiles", std::move(quantiles));
  j.set("zeros", static_cast<int64_t>(q.fits.zeros));
  j.set("fitted", static_cast<int64_t>(q.fits.fitted));
  j.set("fits", fits_json(q.fits));
  if (!q.fits.why_none.empty()) j.set("why_no_fits", q.fits.why_none);
  j.set("close", q.fits.close());
  return j;
}

Json rates_json(const TraceRates& r) {
  Json per_s = Json::array();
  for (const double v : r.per_s) per_s.push_back(v);
  Json j = Json::object();
  j.set("bin_s", r.bin_s);
  j.set("requests_per_s", std::move(per_s));
  return j;
}

// An object and its path, for errors. The first error stays.
class Object {
 public:
  Object(const Json& json, std::string path, Status& status)
      : json_(json), path_(std::move(path)), status_(status) {
    if (!json_.is_object()) fail("", "must be an object");
  }

  double number(std::string_view key, double low, double high) {
    const Json* v = json_.find(key);
    if (v == nullptr || !v->is_number()) return fail(key, "must be a number");
    const double d = v->as_double();
    if (!(d >= low && d <= high))
      return fail(key, fmt::format("must be from {:g} to {:g}", low, high));
    return d;
  }
  std::optional<double> maybe(std::string_view key, double low, double high) {
    if (const Json* v = json_.find(key); v == nullptr || v->is_null()) return std::nullopt;
    return number(key, low, high);
  }
  size_t count(std::string_view key) {
    const double d = number(key, 0, 1e15);
    if (d != std::floor(d)) fail(key, "must be a whole number");
    return static_cast<size_t>(d);
  }
  std::string text(std::string_view key) {
    const Json* v = json_.find(key);
    if (v == nullptr || !v->is_string() || v->size() > kMaxText) {
      fail(key, fmt::format("must be a text of at most {} bytes", kMaxText));
      return "";
    }
    return v->as_string();
  }
  const Json::Array& list(std::string_view key, size_t most) {
    static const Json::Array kNone;
    const Json* v = json_.find(key);
    if (v == nullptr || !v->is_array() || v->size() > most) {
      fail(key, fmt::format("must be a list of at most {}", most));
      return kNone;
    }
    return v->items();
  }
  const Json& member(std::string_view key) {
    static const Json kNull;
    const Json* v = json_.find(key);
    return v == nullptr ? kNull : *v;
  }
  double fail(std::string_view key, std::string_view what) {
    if (status_.ok()) status_ = make_error(ErrorCode::kCorrupt, "{} {}", at(key), what);
    return 0;
  }
  bool has(std::string_view key) const { return json_.find(key) != nullptr; }
  std::string at(std::string_view key) const {
    if (path_.empty()) return std::string(key);
    return key.empty() ? path_ : fmt::format("{}.{}", path_, key);
  }

 private:
  const Json& json_;
  std::string path_;
  Status& status_;
};

Fit read_fit(const Json& json, const std::string& path, Status& status) {
  Object o(json, path, status);
  Fit f;
  const auto family = find_family(o.text("family"));
  if (!family) {
    o.fail("family", "must be exponential, lognormal, gamma, weibull or lognormal2");
    return f;
  }
  f.distribution.family = *family;
  Object parameters(o.member("parameters"), o.at("parameters"), status);
  const auto names = parameter_names(*family);
  for (size_t i = 0; i < names.size(); ++i)
    f.distribution.p[i] = parameters.number(names[i], -kMaxNumber, kMaxNumber);
  if (!f.distribution.valid()) parameters.fail("", "are out of the family's range");
  f.log_likelihood = o.number("log_likelihood", -kMaxNumber, kMaxNumber);
  f.aic = o.number("aic", -kMaxNumber, kMaxNumber);
  f.ks = o.number("ks", 0, 1);
  return f;
}

TraceQuantity read_quantity(const Json& json, const std::string& path, Status& status) {
  Object o(json, path, status);
  TraceQuantity q;
  q.count = o.count("count");
  q.mean = o.number("mean", 0, kMaxNumber);
  q.sd = o.number("sd", 0, kMaxNumber);
  size_t i = 0;
  for (const Json& pair : o.list("quantiles", kMaxQuantiles)) {
    const std::string key = fmt::format("quantiles[{}]", i++);
    const bool two = pair.is_array() && pair.size() == 2 && pair.items()[0].is_number() &&
                     pair.items()[1].is_number();
    if (!two) {
      o.fail(key, "must be a pair of numbers");
      return q;
    }
    const double share = pair.items()[0].as_double();
    const double value = pair.items()[1].as_double();
    const bool first = q.quantiles.empty();
    if (!(share >= 0 && share <= 1 && value >= 0 && value <= kMaxNumber) ||
        (!first && !(share > q.quantiles.back().first && value >= q.quantiles.back().second))) {
      o.fail(key, "must be a share from 0 to 1 and a value, both rising");
      return q;
    }
    q.quantiles.emplace_back(share, value);
  }
  if (q.count > 0 && q.quantiles.empty()) o.fail("quantiles", "are missing");
  q.fits.count = q.count;
  q.fits.zeros = o.count("zeros");
  q.fits.fitted = o.count("fitted");
  i = 0;
  for (const Json& fit : o.list("fits", kFamilies))
    q.fits.fits.push_back(read_fit(fit, o.at(fmt::format("fits[{}]", i++)), status));
  if (o.has("why_no_fits")) q.fits.why_none = o.text("why_no_fits");
  return q;
}

TraceRates read_rates(const Json& json, const std::string& path, Status& status) {
  Object o(json, path, status);
  TraceRates r;
  r.bin_s = o.number("bin_s", 0, kMaxNumber);
  for (const Json& v : o.list("requests_per_s", TraceTraffic::kMaxBins)) {
    if (!v.is_number() || !(v.as_double() >= 0 && v.as_double() <= kMaxNumber)) {
      o.fail("requests_per_s", "must hold rates of at least 0");
      break;
    }
    r.per_s.push_back(v.as_double());
  }
  return r;
}

}  // namespace

std::string traffic_json(const TraceTraffic& t) {
  Json j = Json::object();
  const auto maybe = [&j](const char* key, const std::optional<double>& v) {
    j.set(key, v ? Json(*v) : Json());
  };
  j.set("format", kFormat);
  j.set("source", text::replace_invalid_utf8(t.source));
  j.set("trace_format", t.format);
  j.set("requests", static_cast<int64_t>(t.requests));
  j.set("skipped", static_cast<int64_t>(t.skipped));
  j.set("span_s", t.span_s);
  j.set("requests_per_s", t.requests_per_s);
  maybe("requests_per_s_peak", t.peak_per_s);
  maybe("arrival_cv", t.arrival_cv);
  maybe("shared_prefix_share", t.shared_prefix_share);
  j.set("prompt_tokens", quantity_json(t.prompt_tokens));
  j.set("output_tokens", quantity_json(t.output_tokens));
  j.set("gap_s", quantity_json(t.gap_s));
  j.set("hourly", rates_json(t.hourly));
  j.set("minutely", rates_json(t.minutely));
  return j.dump({.indent = 1}) + "\n";
}

Result<TraceTraffic> parse_traffic(std::string_view text) {
  WEIR_ASSIGN(const Json json, Json::parse(text, {.max_depth = 8, .max_values = 100'000}));
  Status status;
  Object o(json, "", status);
  if (!status.ok()) return make_error(ErrorCode::kCorrupt, "the file must be an object");
  if (const std::string format = o.text("format"); status.ok() && format != kFormat) {
    return make_error(ErrorCode::kUnsupported,
                      "format is \"{}\", not \"{}\"; weir intake --trace FILE writes it anew",
                      format, kFormat);
  }
  TraceTraffic t;
  t.source = o.text("source");
  t.format = o.text("trace_format");
  t.requests = o.count("requests");
  t.skipped = o.count("skipped");
  t.span_s = o.number("span_s", 0, kMaxNumber);
  t.requests_per_s = o.number("requests_per_s", 0, kMaxNumber);
  t.peak_per_s = o.maybe("requests_per_s_peak", 0, kMaxNumber);
  t.arrival_cv = o.maybe("arrival_cv", 0, kMaxNumber);
  t.shared_prefix_share = o.maybe("shared_prefix_share", 0, 1);
  t.prompt_tokens = read_quantity(o.member("prompt_tokens"), "prompt_tokens", status);
  t.output_tokens = read_quantity(o.member("output_tokens"), "output_tokens", status);
  t.gap_s = read_quantity(o.member("gap_s"), "gap_s", status);
  t.hourly = read_rates(o.member("hourly"), "hourly", status);
  t.minutely = read_rates(o.member("minutely"), "minutely", status);
  if (!status.ok()) return status.error();
  return t;
}

}  // namespace weir::ops
