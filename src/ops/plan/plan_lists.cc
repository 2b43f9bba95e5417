#include "ops/plan/plan_lists.h"

#include <fmt/format.h>

#include <utility>

namespace weir::ops {
namespace {

using text::Json;

std::string or_dash(const Figure* figure) {
  return figure == nullptr ? "-" : fmt::format("{:g}", figure->value);
}

Json or_null(const Figure* figure) { return figure == nullptr ? Json() : Json(figure->value); }

const Figure* found(const std::optional<Figure>& figure) { return figure ? &*figure : nullptr; }

Json price_json(const Accelerator& a) {
  if (!a.price_usd_per_hour) return {};
  Json j = Json::object();
  j.set("low_usd", a.price_usd_per_hour->low_usd);
  j.set("high_usd", a.price_usd_per_hour->high_usd);
  j.set("date", a.price_usd_per_hour->date);
  return j;
}

Json links_json(const Accelerator& a) {
  if (!a.interconnect) return {};
  Json j = Json::object();
  j.set("kind", a.interconnect->kind);
  j.set("gb_per_s", a.interconnect->gb_per_s.value);
  j.set("devices", a.interconnect->domain.value);
  return j;
}

}  // namespace

std::string accelerators_text(const Accelerators& all) {
  std::string out;
  for (const Accelerator& a : all.all) {
    out += fmt::format("{:<30} {:>6} GB {:>7g} GB/s {:>8} TFLOPS bf16  {}\n", a.id,
                       or_dash(found(a.memory_gb)), a.bandwidth_gb_per_s.value,
                       or_dash(a.tflops("bf16")), a.name);
  }
  return out;
}

std::string models_text(std::span<const KnownModel> models) {
  std::string out;
  for (const KnownModel& m : models) {
    out += fmt::format("{:<34} {:>8g} B {:>7g} active  {}{}\n", m.id, m.parameters_b,
                       m.active_parameters_b, m.released, m.verified ? "" : "  not verified");
  }
  return out;
}

Json accelerators_json(const Accelerators& all) {
  Json rows = Json::array();
  for (const Accelerator& a : all.all) {
    Json j = Json::object();
    j.set("id", a.id);
    j.set("name", a.name);
    j.set("vendor", a.vendor);
    j.set("released", a.released);
    j.set("checked", all.checked);
    j.set("memory_gb", or_null(found(a.memory_gb)));
    j.set("bandwidth_gb_per_s", a.bandwidth_gb_per_s.value);
    Json rates = Json::object();
    for (const auto& [type, figure] : a.dense_tflops) rates.set(type, figure.value);
    j.set("dense_tflops", std::move(rates));
    j.set("interconnect", links_json(a));
    j.set("power_w", or_null(found(a.power_w)));
    j.set("price_usd_per_hour", price_json(a));
    rows.push_back(std::move(j));
  }
  return rows;
}

Json models_json(std::span<const KnownModel> models) {
  Json rows = Json::array();
  for (const KnownModel& m : models) {
    Json j = Json::object();
    j.set("id", m.id);
    j.set("name", m.name);
    j.set("publisher", m.publisher);
    j.set("released", m.released);
    j.set("license", m.license);
    j.set("parameters_b", m.parameters_b);
    j.set("active_parameters_b", m.active_parameters_b);
    j.set("verified", m.verified);
    if (const auto shape = shape_of(m); shape.ok()) {
      j.set("precision", shape->precision);
      j.set("bits_per_weight", shape->bits_per_weight);
      j.set("memory_gb", shape->parameters() * shape->bits_per_weight / 8 / 1e9);  // of its weights
      j.set("context_tokens", shape->context_tokens > 0 ? Json(shape->context_tokens) : Json());
    }
    rows.push_back(std::move(j));
  }
  return rows;
}

}  // namespace weir::ops
