#include "ops/cost/outcomes.h"

#include <algorithm>
#include <cmath>

#include "ops/eval/line_reader.h"
#include "os/file.h"

namespace weir::ops {
namespace {

constexpr uint64_t kMaxBytes = 64 << 20;
constexpr double kMostUsd = 1e6;
constexpr double kZ = 1.959964;  // of 95 %

// Centre and half width of Wilson's interval.
std::pair<double, double> wilson(double accepted, double all) {
  const double p = accepted / all, z2 = kZ * kZ;
  const double scale = 1 + z2 / all;
  return {(p + z2 / (2 * all)) / scale,
          kZ * std::sqrt(p * (1 - p) / all + z2 / (4 * all * all)) / scale};
}

}  // namespace

double Outcomes::accept_rate() const {
  return static_cast<double>(accepted) / static_cast<double>(requests);
}
double Outcomes::usd_per_request() const { return cost_usd / static_cast<double>(requests); }
double Outcomes::usd_per_accepted() const { return cost_usd / static_cast<double>(accepted); }

double Outcomes::accept_low() const {
  const auto [centre, half] = wilson(static_cast<double>(accepted), static_cast<double>(requests));
  return std::max(0.0, centre - half);
}

double Outcomes::accept_high() const {
  const auto [centre, half] = wilson(static_cast<double>(accepted), static_cast<double>(requests));
  return std::min(1.0, centre + half);
}

Result<Outcomes> parse_outcomes(std::string_view lines, std::string_view name) {
  LineReader reader(lines, name);
  Outcomes out;
  for (;;) {
    WEIR_ASSIGN(const auto item, reader.next_json());
    if (!item) break;
    const text::Json* cost = item->find("cost_usd");
    if (cost == nullptr || !cost->is_number() ||
        !(cost->as_double() >= 0 && cost->as_double() <= kMostUsd))
      return reader.wrong(fmt::format("cost_usd must be a number from 0 to {}", kMostUsd));
    const text::Json* accepted = item->find("accepted");
    if (accepted == nullptr || !accepted->is_bool())
      return reader.wrong("accepted must be true or false");
    ++out.requests;
    out.accepted += accepted->as_bool() ? 1 : 0;
    out.cost_usd += cost->as_double();
  }
  if (out.requests == 0) return make_error(ErrorCode::kCorrupt, "{}: holds no outcome", name);
  return out;
}

Result<Outcomes> read_outcomes(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  return parse_outcomes(text, path);
}

}  // namespace weir::ops
