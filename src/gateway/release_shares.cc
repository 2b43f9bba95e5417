#include "gateway/release_shares.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir::gateway {

int32_t lowest_tier(const ModelConfig& model) {
  int32_t lowest = INT32_MAX;
  for (const TargetConfig& t : model.targets)
    if (t.weight > 0) lowest = std::min(lowest, t.tier);
  return lowest;
}

std::vector<ReleaseShare> release_shares(const ModelConfig& model) {
  const int32_t lowest = lowest_tier(model);
  std::vector<ReleaseShare> out;
  int64_t sum = 0;
  for (const TargetConfig& t : model.targets) {
    if (t.tier != lowest) continue;
    auto at = std::find_if(out.begin(), out.end(),
                           [&](const ReleaseShare& s) { return s.release == t.release; });
    if (at == out.end()) at = out.insert(out.end(), {t.release, 0, 0});
    at->weight += t.weight;
    sum += t.weight;
  }
  std::vector<std::pair<int64_t, size_t>> remainders;
  int left = 100;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].percent = static_cast<int>(100 * out[i].weight / sum);  // one has a weight
    remainders.emplace_back(100 * out[i].weight % sum, i);
    left -= out[i].percent;
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  // Fewer than there are releases.
  for (size_t i = 0; std::cmp_less(i, left) && i < remainders.size(); ++i)
    ++out[remainders[i].second].percent;
  return out;
}

std::string shares_text(const ModelConfig& model) {
  const std::vector<ReleaseShare> shares = release_shares(model);
  std::string out;
  if (shares.size() < 2) return out;
  for (const ReleaseShare& s : shares)
    out += fmt::format("{}{} {} %", out.empty() ? "" : ", ", s.release, s.percent);
  return out;
}

}  // namespace weir::gateway
