#include "ops/review/evidence.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "ops/sources/days.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr size_t kMaxRuns = 1000;
constexpr double kMaxNumber = 1e15;

// Reads members by name; the first that is not as it must be is kept.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void fail(std::string_view path, std::string_view wanted) {
    if (!error_) error_ = make_error(ErrorCode::kCorrupt, "{}: {} must be {}", file_, path, wanted);
  }
  double number(const Json& o, std::string_view key, bool or_null = false) {
    const Json* v = o.find(key);
    if (or_null && (v == nullptr || v->is_null())) return std::numeric_limits<double>::quiet_NaN();
    if (v == nullptr || !v->is_number() || !(std::abs(v->as_double()) <= kMaxNumber)) {
      fail(key, "a number");
      return 0;
    }
    return v->as_double();
  }
  int64_t count(const Json& o, std::string_view key) {
    const double v = number(o, key);
    if (v < 0 || v != std::floor(v)) fail(key, "a whole number");
    return error_ ? 0 : static_cast<int64_t>(v);
  }
  // o.outer.inner.value
  double estimate(const Json& o, std::string_view outer, std::string_view inner) {
    const Json* d = o.find(outer);
    const Json* q = d == nullptr ? nullptr : inner.empty() ? d : d->find(inner);
    if (q == nullptr || !q->is_object()) {
      fail(fmt::format("{}.{}", outer, inner), "an object");
      return 0;
    }
    return number(*q, "value", true);
  }
  std::string text(const Json& o, std::string_view key, size_t most = 512) {
    const Json* v = o.find(key);
    if (v != nullptr && v->is_string() && v->size() <= most) return v->as_string();
    fail(key, fmt::format("a text of at most {} bytes", most));
    return "";
  }
  // "" where it is absent or no text.
  static std::string optional_text(const Json* o, std::string_view key) {
    const Json* v = o == nullptr ? nullptr : o->find(key);
    return v != nullptr && v->is_string() && v->size() <= 512 ? v->as_string() : "";
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  std::string file_;
  std::optional<Error> error_;
};

Subject subject_of(const Json* json) {
  Subject s;
  s.env = Reader::optional_text(json, "env");
  s.model_sha256 = Reader::optional_text(json, "model_sha256");
  s.config_sha256 = Reader::optional_text(json, "config_sha256");
  s.numerics_sha256 = Reader::optional_text(json, "numerics_sha256");
  const Json* replicas = json == nullptr ? nullptr : json->find("replicas");
  if (replicas != nullptr && replicas->is_int() && replicas->as_int() >= 1 &&
      replicas->as_int() <= 1'000'000)
    s.replicas = replicas->as_int();
  return s;
}

LoadRunEvidence run_of(const Json& o, Reader& r) {
  LoadRunEvidence run;
  run.label = r.text(o, "label");
  run.offered_per_s = r.number(o, "offered_per_s");
  run.concurrency = r.count(o, "concurrency");
  run.requests = r.count(o, "requests");
  run.ok = r.count(o, "ok");
  run.refused = r.count(o, "refused");
  run.failed = r.count(o, "failed");
  run.prompt_tokens = r.count(o, "prompt_tokens");
  run.output_tokens = r.count(o, "output_tokens");
  run.ok_per_s = r.estimate(o, "requests_per_s", "");
  run.peak_in_flight = r.count(o, "peak_in_flight");
  run.ttft_p95_ms = r.estimate(o, "ttft_ms", "p95");
  run.itl_p95_ms = r.estimate(o, "itl_ms", "p95");
  run.e2e_p99_ms = r.estimate(o, "e2e_ms", "p99");
  run.refusal_p95_ms = r.estimate(o, "refusal_ms", "p95");
  if (run.ok + run.refused + run.failed != run.requests)
    r.fail("requests", "ok + refused + failed");
  return run;
}

void read_load(const Json& document, Reader& r, Evidence& out) {
  const Json* runs = document.find("runs");
  if (runs == nullptr || !runs->is_array() || runs->size() > kMaxRuns)
    return r.fail("runs", fmt::format("a list of at most {} runs", kMaxRuns));
  out.runs.reserve(runs->size());
  for (const Json& run : runs->items()) {
    if (!run.is_object()) return r.fail("runs", "a list of objects");
    out.runs.push_back(run_of(run, r));
  }
}

}  // namespace

Json Subject::json() const {
  Json j = Json::object();
  j.set("env", env);
  j.set("model_sha256", model_sha256);
  j.set("config_sha256", config_sha256);
  j.set("numerics_sha256", numerics_sha256);
  j.set("replicas", replicas);
  return j;
}

Result<std::optional<Evidence>> parse_evidence(std::string_view text, std::string_view file) {
  auto json = Json::parse(text, {.max_depth = 32, .max_values = 4'000'000});
  if (!json.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", file, json.error().message);
  const std::string schema = Reader::optional_text(&*json, "schema");
  if (schema != kLoadSchema && schema != kGateSchema) return std::optional<Evidence>();
  Reader reader{std::string(file)};
  Evidence out;
  out.file = file;
  out.kind = schema == kLoadSchema ? EvidenceKind::kLoad : EvidenceKind::kGate;
  const auto created = unix_of_time(reader.text(*json, "created"));
  if (!created) reader.fail("created", "a time, as 2026-11-30T12:00:00Z");
  out.created_s = created.value_or(0);
  out.subject = subject_of(json->find("subject"));
  out.model = Reader::optional_text(json->find("settings"), "model");
  out.text = text;
  if (out.kind == EvidenceKind::kLoad) {
    read_load(*json, reader, out);
  } else {
    out.verdict = reader.text(*json, "verdict");
    out.base = reader.text(*json, "base", 4096);
  }
  if (reader.error()) return *reader.error();
  return std::optional<Evidence>(std::move(out));
}

}  // namespace weir::ops
