// Writing a report; read_json.cc reads it back.
#include "bench/report/json.h"

#include <cmath>

#include "bench/report/fields.h"

namespace weir::bench {
namespace {

using text::Json;

class Writer {
 public:
  Json take() { return std::move(out_); }

  void number(const char* name, double v) { out_.set(name, v); }
  void unknown(const char* name, double v) { out_.set(name, std::isnan(v) ? Json() : Json(v)); }
  void integer(const char* name, int64_t v) { out_.set(name, v); }
  void flag(const char* name, bool v) { out_.set(name, v); }
  void text(const char* name, const std::string& v) { out_.set(name, v); }
  void outcome(const char* name, Outcome v) { out_.set(name, outcome_name(v)); }
  void series(const char* name, const std::vector<double>& v, bool /*may_be_unknown*/) {
    Json list = Json::array();
    for (const double x : v) list.push_back(std::isnan(x) ? Json() : Json(x));
    out_.set(name, std::move(list));
  }
  void texts(const char* name, const std::map<std::string, std::string>& v) {
    Json o = Json::object();
    for (const auto& [key, value] : v) o.members().emplace_back(key, value);
    out_.set(name, std::move(o));
  }
  void histogram(const char* name, const Histogram& h) {
    Json o = Json::object();
    o.set("digits", h.digits());
    o.set("min", h.min());
    o.set("max", h.max());
    o.set("sum", h.sum());
    Json flat = Json::array();  // index, count, index, count, ...
    for (const Histogram::Bucket& b : h.buckets()) {
      flat.push_back(int64_t{b.index});
      flat.push_back(b.count);
    }
    o.set("buckets", std::move(flat));
    out_.set(name, std::move(o));
  }
  template <typename T>
  void object(const char* name, const T& v) {
    out_.set(name, write(v));
  }
  template <typename T>
  void list(const char* name, const std::vector<T>& v, size_t /*max*/) {
    Json items = Json::array();
    for (const T& x : v) items.push_back(write(x));
    out_.set(name, std::move(items));
  }
  template <typename T>
  static Json write(const T& v) {
    Writer w;
    visit(w, v);
    return w.take();
  }

 private:
  Json out_ = Json::object();
};

Json sweep_json(const Report& report) {
  const Sweep& s = report.sweep;
  Json points = Json::array();
  for (const SweepPoint& p : s.points) {
    Json o = Json::object();
    o.set("label", report.runs[p.run].label);
    o.set("load", p.load);
    o.set("output_tokens_per_s", p.throughput);
    o.set("p95_ms", p.latency_ms);
    o.set("slo_share", p.slo_share);
    o.set("meets_slo", p.meets_slo);
    points.push_back(std::move(o));
  }
  const auto label = [&](const std::optional<size_t>& i) {
    return i.has_value() ? Json(report.runs[s.points[*i].run].label) : Json();
  };
  Json o = Json::object();
  o.set("points", std::move(points));
  o.set("knee", label(s.knee));
  o.set("highest_within_slo", label(s.highest_within_slo));
  o.set("slo_load", s.slo_load > 0 ? Json(s.slo_load) : Json());
  o.set("note", s.note);
  return o;
}

}  // namespace

Json report_json(const Report& report) {
  Json o = Json::object();
  o.set("schema", kReportSchema);
  o.set("title", report.title);
  o.set("created", report.created);
  Json settings = Json::object();
  for (const auto& [key, value] : report.settings) settings.set(key, value);
  o.set("settings", std::move(settings));
  o.set("slo", Writer::write(report.slo));
  Json runs = Json::array();
  for (const LoadSummary& r : report.runs) runs.push_back(Writer::write(r));
  o.set("runs", std::move(runs));
  if (!report.sweep.points.empty()) o.set("sweep", sweep_json(report));
  Json vllm = Json::array();
  for (const LoadSummary& r : report.runs) vllm.push_back(vllm_json(r));
  o.set("vllm", std::move(vllm));
  o.set("guidellm", guidellm_json(report));
  return o;
}

}  // namespace weir::bench
