#include "bench/report/slo.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/quantile.h"

namespace weir::bench {
namespace {

struct Key {
  std::string_view name;
  double Slo::*bound;
};
constexpr Key kKeys[] = {{"ttft", &Slo::ttft_ms},
                         {"itl", &Slo::itl_ms},
                         {"itl_max", &Slo::itl_max_ms},
                         {"tpot", &Slo::tpot_ms},
                         {"e2e", &Slo::e2e_ms}};
constexpr double kMaxMs = 86'400'000;  // a day

// A number at the front of `text`, and what follows it.
bool take_number(std::string_view text, double& value, std::string_view& rest) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  rest = text.substr(static_cast<size_t>(end - text.data()));
  return error == std::errc() && std::isfinite(value);
}

Result<double> parse_time_ms(std::string_view item, std::string_view text) {
  double value = 0;
  std::string_view unit;
  if (!take_number(text, value, unit)) {
    return make_error(ErrorCode::kUsage,
                      "--slo: '{}' has no number after '='; write e.g. ttft=500ms", item);
  }
  if (unit.empty()) {
    return make_error(ErrorCode::kUsage, "--slo: '{}' has no unit; write {}ms or {}s", item, text,
                      text);
  }
  if (unit != "ms" && unit != "s") {
    return make_error(ErrorCode::kUsage, "--slo: '{}' has the unit '{}'; the units are ms and s",
                      item, unit);
  }
  const double ms = unit == "s" ? value * 1000 : value;
  if (!(ms > 0) || ms > kMaxMs) {
    return make_error(ErrorCode::kUsage,
                      "--slo: '{}' must be above 0 and at most a day ({:.0f} ms)", item, kMaxMs);
  }
  return ms;
}

Result<double> parse_share(std::string_view item, std::string_view text) {
  double value = 0;
  std::string_view unit;
  const bool number = take_number(text, value, unit);
  if (number && unit == "%") value /= 100;
  if (!number || (!unit.empty() && unit != "%") || !(value > 0) || value > 1) {
    return make_error(
        ErrorCode::kUsage,
        "--slo: '{}' must be a share above 0 and at most 1, as share=0.99 or share=99%", item);
  }
  return value;
}

Status parse_item(std::string_view item, Slo& slo, std::vector<std::string_view>& seen) {
  const size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const auto* key = std::find_if(std::begin(kKeys), std::end(kKeys),
                                 [&](const Key& k) { return k.name == name; });
  if (equals == std::string_view::npos || (key == std::end(kKeys) && name != "share")) {
    return make_error(ErrorCode::kUsage,
                      "--slo: '{}' is no bound; write KEY=VALUE with the keys ttft, itl, itl_max, "
                      "tpot, e2e (a time: 500ms, 2s) and share (0.99)",
                      item);
  }
  if (std::find(seen.begin(), seen.end(), name) != seen.end())
    return make_error(ErrorCode::kUsage, "--slo: {} is given twice", name);
  seen.push_back(name);
  const std::string_view value = item.substr(equals + 1);
  if (name == "share") {
    WEIR_ASSIGN(slo.share, parse_share(item, value));
    return {};
  }
  WEIR_ASSIGN(slo.*(key->bound), parse_time_ms(item, value));
  return {};
}

}  // namespace

Result<Slo> parse_slo(std::string_view text) {
  Slo slo;
  if (text.empty()) return slo;
  std::vector<std::string_view> seen;
  while (true) {
    const size_t comma = text.find(',');
    WEIR_TRY(parse_item(text.substr(0, comma), slo, seen));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (!slo.any()) {
    return make_error(ErrorCode::kUsage,
                      "--slo: share needs a bound to be a share of; add e.g. ttft=500ms");
  }
  return slo;
}

std::string slo_text(const Slo& slo) {
  std::string out;
  for (const Key& key : kKeys) {
    if (slo.*(key.bound) > 0)
      out += fmt::format("{}{}={}ms", out.empty() ? "" : ",", key.name, slo.*(key.bound));
  }
  if (!out.empty()) out += fmt::format(",share={}", slo.share);
  return out;
}

SloBreaks slo_breaks(const RequestRecord& r, const Slo& slo) {
  SloBreaks b;
  b.not_ok = r.outcome != Outcome::kOk;
  if (b.not_ok) return b;
  const bool has_output = r.first_token_s >= 0;
  b.ttft = slo.ttft_ms > 0 && (!has_output || r.ttft_s() * 1e3 > slo.ttft_ms);
  b.e2e = slo.e2e_ms > 0 && (r.end_s < 0 || r.e2e_s() * 1e3 > slo.e2e_ms);
  b.tpot = slo.tpot_ms > 0 && tpot_ms(r) > slo.tpot_ms;
  if (r.gaps_ms.empty()) return b;
  if (slo.itl_max_ms > 0)
    b.itl = *std::max_element(r.gaps_ms.begin(), r.gaps_ms.end()) > slo.itl_max_ms;
  if (slo.itl_ms > 0 && !b.itl) {
    std::vector<float> gaps = r.gaps_ms;
    std::sort(gaps.begin(), gaps.end());
    b.itl = sorted_quantile(gaps, 0.95) > slo.itl_ms;
  }
  return b;
}

bool meets(const RequestRecord& request, const Slo& slo) { return !slo_breaks(request, slo).any(); }

double tpot_ms(const RequestRecord& r) {
  if (r.output_tokens < 2 || r.gaps_ms.empty()) return kNoTpot;
  double sum = 0;
  for (const float gap : r.gaps_ms) sum += gap;
  return sum / (r.output_tokens - 1);
}

}  // namespace weir::bench
