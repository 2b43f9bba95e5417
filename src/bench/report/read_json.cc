// Reading a report back: every member is there, of its type and in its range, or the error names
// it by path.
#include <algorithm>
#include <cmath>
#include <limits>

#include "bench/report/fields.h"
#include "bench/report/json.h"

namespace weir::bench {
namespace {

using text::Json;

constexpr double kMaxNumber = 1e15;  // of a time, rate or count; more is no measurement
constexpr int64_t kMaxInteger = int64_t{1} << 53;
constexpr size_t kMaxValues = 4'000'000;  // 128 MB at most while it is read
constexpr size_t kMaxMapEntries = 256;

// The archive of fields.h that reads. The first failure is kept and ends all reading.
class Reader {
 public:
  Reader(const Json& object, std::string path, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), error_(error) {
    if (!object.is_object()) fail("", "an object", object);
  }

  void number(const char* name, double& out) { read_number(name, out, false); }
  void unknown(const char* name, double& out) { read_number(name, out, true); }
  template <typename T>
  void integer(const char* name, T& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    const int64_t most = std::min<int64_t>(kMaxInteger, std::numeric_limits<T>::max());
    if (!v->is_int() || v->as_int() < -1 || v->as_int() > most)
      return fail(name, fmt::format("an integer from -1 to {}", most), *v);
    out = static_cast<T>(v->as_int());
  }
  void flag(const char* name, bool& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    if (!v->is_bool()) return fail(name, "true or false", *v);
    out = v->as_bool();
  }
  void text(const char* name, std::string& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    if (!v->is_string()) return fail(name, "a string", *v);
    out = v->as_string();
  }
  void outcome(const char* name, Outcome& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    if (!v->is_string() || !outcome_from_name(v->as_string(), out))
      fail(name, "the name of an outcome (ok, rejected, ...)", *v);
  }
  void series(const char* name, std::vector<double>& out, bool may_be_unknown) {
    const Json* v = array(name, kMaxTimelineBins);
    if (v == nullptr) return;
    for (const Json& x : v->items()) {
      double value = kUnknown;
      if (!good_number(x, value) && !(may_be_unknown && x.is_null()))
        return fail(name, "a list of numbers", x);
      out.push_back(value);
    }
  }
  void texts(const char* name, std::map<std::string, std::string>& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    if (!v->is_object() || v->size() > kMaxMapEntries)
      return fail(name, fmt::format("an object of at most {} strings", kMaxMapEntries), *v);
    for (const auto& [key, value] : v->members()) {
      if (!value.is_string()) return fail(name, "an object of strings", value);
      out[key] = value.as_string();
    }
  }
  void histogram(const char* name, Histogram& out);
  template <typename T>
  void object(const char* name, T& out) {
    const Json* v = member(name);
    if (v == nullptr) return;
    Reader inner(*v, path_of(name), error_);
    if (!error_.has_value()) visit(inner, out);
  }
  template <typename T>
  void list(const char* name, std::vector<T>& out, size_t max) {
    const Json* v = array(name, max);
    if (v == nullptr) return;
    for (const Json& x : v->items()) {
      Reader inner(x, fmt::format("{}[{}]", path_of(name), out.size()), error_);
      if (error_.has_value()) return;
      visit(inner, out.emplace_back());
    }
  }

 private:
  std::string path_of(std::string_view name) const {
    if (name.empty()) return path_;
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }
  void fail(std::string_view name, std::string_view wanted, const Json& got) {
    if (error_.has_value()) return;
    const std::string what =
        got.is_number()
            ? got.dump()
            : fmt::format("{} {}", got.type_name() == "object" ? "an" : "a", got.type_name());
    error_ = param_error(ErrorCode::kInvalidValue, path_of(name), "{} must be {}, not {}",
                         path_of(name), wanted, what);
  }
  const Json* member(const char* name) {
    if (error_.has_value()) return nullptr;
    const Json* v = object_.find(name);
    if (v == nullptr)
      error_ = param_error(ErrorCode::kInvalidValue, path_of(name), "{} is missing", path_of(name));
    return v;
  }
  const Json* array(const char* name, size_t max) {
    const Json* v = member(name);
    if (v == nullptr) return nullptr;
    if (v->is_array() && v->size() <= max) return v;
    fail(name, fmt::format("a list of at most {} items", max), *v);
    return nullptr;
  }
  static bool good_number(const Json& v, double& out) {
    if (!v.is_number() || !(std::abs(v.as_double()) <= kMaxNumber)) return false;
    out = v.as_double();
    return true;
  }
  void read_number(const char* name, double& out, bool may_be_unknown) {
    const Json* v = member(name);
    if (v == nullptr) return;
    if (may_be_unknown && v->is_null()) {
      out = kUnknown;
    } else if (!good_number(*v, out)) {
      fail(name, fmt::format("a number up to {:g}{}", kMaxNumber, may_be_unknown ? " or null" : ""),
           *v);
    }
  }

  const Json& object_;
  std::string path_;
  std::optional<Error>& error_;
};

void Reader::histogram(const char* name, Histogram& out) {
  const Json* v = member(name);
  if (v == nullptr) return;
  Reader inner(*v, path_of(name), error_);
  int32_t digits = 0;
  double min = 0;
  double max = 0;
  double sum = 0;
  inner.integer("digits", digits);
  inner.number("min", min);
  inner.number("max", max);
  inner.number("sum", sum);
  const Json* flat = inner.array("buckets", 200'000);
  if (flat == nullptr) return;
  if (flat->size() % 2 != 0) return fail(name, "pairs of index and count", *flat);
  std::vector<Histogram::Bucket> buckets;
  for (size_t i = 0; i < flat->size(); i += 2) {
    const Json& index = flat->items()[i];
    const Json& count = flat->items()[i + 1];
    if (!index.is_int() || !count.is_int() || index.as_int() < 0 ||
        index.as_int() > std::numeric_limits<int32_t>::max())
      return fail(name, "pairs of index and count", index);
    buckets.push_back({static_cast<int32_t>(index.as_int()), count.as_int()});
  }
  auto restored = Histogram::restore(digits, buckets, min, max, sum);
  if (restored.ok()) {
    out = std::move(restored).value();
  } else {
    error_ = restored.error().with_context(path_of(name));
    error_->param = path_of(name);
  }
}

// What the members say together.
Status check_run(const LoadSummary& r, size_t index) {
  const auto bad = [&](std::string_view what) {
    return param_error(ErrorCode::kInvalidValue, fmt::format("runs[{}]", index), "runs[{}]: {}",
                       index, what);
  };
  const Timeline& t = r.timeline;
  const size_t bins = t.in_flight.size();
  for (const auto* s : {&t.output_tokens_per_s, &t.arrivals_per_s, &t.ttft_ms, &t.errors_per_s,
                        &t.refusals_per_s}) {
    if (s->size() != bins) return bad("the series of the timeline differ in length");
  }
  if (bins > 0 && !(t.bin_s > 0)) return bad("timeline.bin_s must be above 0");
  if (r.duration_s < 0) return bad("duration_s must not be negative");
  for (const Distribution* d : {&r.ttft_ms, &r.itl_ms, &r.tpot_ms, &r.e2e_ms, &r.queue_ms,
                                &r.send_delay_ms, &r.refusal_ms, &r.retry_after_s}) {
    if (d->count != d->histogram.count()) return bad("a count differs from its histogram's");
    if (d->count > 0 && (!d->mean.known() || !d->p50().known() || !d->p99().known()))
      return bad("a distribution with values has no mean or quantiles");
  }
  for (const GroupSummary& g : r.groups) {
    if (g.ttft_ms.count != g.ttft_ms.histogram.count() ||
        (g.ttft_ms.count > 0 && !g.ttft_ms.p95().known()))
      return bad("the TTFT of a group does not fit its histogram");
  }
  return {};
}

}  // namespace

Result<Report> read_report(std::string_view bytes) {
  if (bytes.size() > kMaxReportBytes) {
    return make_error(ErrorCode::kLimit, "the report has {} bytes; at most {} are read",
                      bytes.size(), kMaxReportBytes);
  }
  text::JsonLimits limits;
  limits.max_values = kMaxValues;
  WEIR_ASSIGN(const Json document, Json::parse(bytes, limits));
  const Json* schema = document.find("schema");
  if (schema == nullptr || !schema->is_string() || schema->as_string() != kReportSchema) {
    return make_error(ErrorCode::kUnsupported,
                      "this is no report of weir bench load: \"schema\" must be \"{}\" (write one "
                      "with --json)",
                      kReportSchema);
  }
  Report report;
  std::optional<Error> error;
  Reader reader(document, "", error);
  reader.text("title", report.title);
  reader.text("created", report.created);
  reader.texts("settings", report.settings);
  reader.object("slo", report.slo);
  reader.list("runs", report.runs, kMaxRuns);
  if (error.has_value()) return *std::move(error);
  for (size_t i = 0; i < report.runs.size(); ++i) WEIR_TRY(check_run(report.runs[i], i));
  report.sweep = find_sweep(report.runs, report.slo);
  return report;
}

}  // namespace weir::bench
