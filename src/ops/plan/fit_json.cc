// The file of fit.h.
#include <fmt/format.h>

#include <string>
#include <utility>

#include "ops/plan/fit.h"
#include "os/file.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kSchema = "weir-fit-1";
constexpr uint64_t kMaxBytes = 1 << 20;
constexpr std::pair<const char*, double Efficiency::*> kFields[] = {
    {"compute", &Efficiency::compute},
    {"memory", &Efficiency::memory},
    {"link", &Efficiency::link},
    {"step_ms", &Efficiency::step_ms},
    {"collective_ms", &Efficiency::collective_ms}};

Json efficiency_json(const Efficiency& e) {
  Json j = Json::object();
  for (const auto& [name, field] : kFields) j.set(name, e.*field);
  return j;
}

Error wrong(const std::string& field, std::string_view what) {
  return make_error(ErrorCode::kInvalidValue, "{} {}; weir plan --fit FILE -o FILE writes it anew",
                    field, what);
}

Status read_efficiency(const Json& all, const char* name, Efficiency& out) {
  const Json* end = all.find(name);
  if (end == nullptr || !end->is_object()) return wrong(name, "must be an object");
  for (const auto& [key, field] : kFields) {
    const Json* v = end->find(key);
    const bool share = field != &Efficiency::step_ms && field != &Efficiency::collective_ms;
    if (v == nullptr || !v->is_number() || !(v->as_double() >= 0) ||
        v->as_double() > (share ? 1.0 : 1e6) || (share && v->as_double() == 0)) {
      return wrong(fmt::format("{}.{}", name, key),
                   share ? "must be a share above 0, at most 1" : "must be ms from 0 on");
    }
    out.*field = v->as_double();
  }
  return {};
}

Status read_text(const Json& all, const char* name, std::string& out) {
  const Json* v = all.find(name);
  if (v == nullptr || !v->is_string()) return wrong(name, "must be a string");
  out = v->as_string();
  return {};
}

}  // namespace

Json efficiency_fit_json(const EfficiencyFit& fit) {
  Json j = Json::object();
  j.set("schema", kSchema);
  j.set("created", fit.created);
  j.set("model", fit.model);
  j.set("accelerator", fit.accelerator);
  j.set("engine", fit.engine);
  j.set("devices", static_cast<int64_t>(fit.devices));
  j.set("efficiency", efficiency_json(fit.efficiency));
  j.set("low", efficiency_json(fit.low));
  j.set("high", efficiency_json(fit.high));
  j.set("ends_by", fit.ends_by);
  j.set("ends_held_out", fit.ends_held_out);
  j.set("median_error", fit.median_error);
  Json points = Json::array();
  for (const FittedPoint& p : fit.points) {
    Json o = Json::object();
    o.set("tool", p.measured.tool);
    o.set("requests_per_s", p.measured.requests_per_s);
    o.set("prompt_tokens", p.measured.prompt_tokens);
    o.set("output_tokens", p.measured.output_tokens);
    o.set("measured_ttft_ms_p50", p.measured.ttft_ms_p50);
    o.set("fitted_ttft_ms_p50", p.ttft_ms_p50);
    o.set("measured_itl_ms_p50", p.measured.itl_ms_p50);
    o.set("fitted_itl_ms_p50", p.itl_ms_p50);
    o.set("held_out_error", p.held_out_error < 0 ? Json() : Json(p.held_out_error));
    points.push_back(std::move(o));
  }
  j.set("points", std::move(points));
  return j;
}

Result<EfficiencyFit> parse_efficiency_fit(std::string_view json) {
  WEIR_ASSIGN(const Json all, Json::parse(json));
  const Json* schema = all.find("schema");
  if (schema == nullptr || !schema->is_string() || schema->as_string() != kSchema)
    return wrong("schema", fmt::format("must be \"{}\"", kSchema));
  EfficiencyFit fit;
  WEIR_TRY(read_text(all, "created", fit.created));
  WEIR_TRY(read_text(all, "model", fit.model));
  WEIR_TRY(read_text(all, "accelerator", fit.accelerator));
  WEIR_TRY(read_text(all, "engine", fit.engine));
  const Json* devices = all.find("devices");
  if (devices == nullptr || !devices->is_int() || devices->as_int() < 1 ||
      devices->as_int() > 65'536)
    return wrong("devices", "must be an integer from 1 on");
  fit.devices = static_cast<int>(devices->as_int());
  WEIR_TRY(read_efficiency(all, "efficiency", fit.efficiency));
  WEIR_TRY(read_efficiency(all, "low", fit.low));
  WEIR_TRY(read_efficiency(all, "high", fit.high));
  // Older files have neither.
  if (const Json* by = all.find("ends_by"); by != nullptr) {
    if (!by->is_number() || !(by->as_double() >= 0) || by->as_double() > 1e3)
      return wrong("ends_by", "must be a share from 0 on");
    fit.ends_by = by->as_double();
  }
  if (const Json* held = all.find("ends_held_out"); held != nullptr) {
    if (!held->is_bool()) return wrong("ends_held_out", "must be true or false");
    fit.ends_held_out = held->as_bool();
  }
  return fit;
}

Result<EfficiencyFit> read_efficiency_fit(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  auto fit = parse_efficiency_fit(text);
  if (fit.ok()) return fit;
  return make_error(fit.error().code, "{}: {}", path, fit.error().message);
}

}  // namespace weir::ops
