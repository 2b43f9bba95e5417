// weir plan --search, and which accelerator a name means.
#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/host.h"
#include "cli/plan_options.h"
#include "cli/terminal.h"
#include "config/key.h"
#include "ops/plan/plan_report.h"
#include "ops/sources/days.h"
#include "os/file.h"

namespace weir::cli {

Result<const ops::Accelerator*> find_device(const ops::Accelerators& all, const std::string& id) {
  if (const ops::Accelerator* a = all.find(id)) return a;
  if (const ops::Accelerator* a = all.find_reported(id)) return a;
  std::vector<std::string> ids;
  ids.reserve(all.all.size());
  for (const ops::Accelerator& a : all.all) ids.push_back(a.id);
  return make_error(ErrorCode::kUsage,
                    "--accelerator {}: weir knows none of that name; the nearest is {} (weir plan "
                    "--accelerators lists them; {} measures this one)",
                    id, config::nearest(id, ids), ops::kThisMachine);
}

Status set_prices(const std::vector<std::string>& prices, ops::Accelerators& all) {
  for (const std::string& price : prices) {
    const size_t equals = price.find('=');
    double usd = 0;
    const char* end = price.data() + price.size();
    if (equals == std::string::npos ||
        std::from_chars(price.data() + equals + 1, end, usd).ptr != end || !(usd > 0) ||
        usd > 1e6) {
      return make_error(ErrorCode::kUsage,
                        "--price {}: wants ACCELERATOR=USD, of a device and hour, above 0", price);
    }
    WEIR_ASSIGN(const ops::Accelerator* const found, find_device(all, price.substr(0, equals)));
    for (ops::Accelerator& a : all.all) {
      if (a.id == found->id)
        a.price_usd_per_hour = ops::AcceleratorPrice{
            usd, usd, ops::day_text(ops::today(SystemClock())), "--price", "given by the user"};
    }
  }
  return {};
}

Result<bool> search_plan(const PlanOptions& o, const ops::PlanRequest& request,
                         const ops::Accelerators& all) {
  const ops::Accelerator* only = nullptr;
  if (!o.accelerator.empty()) {
    WEIR_ASSIGN(only, find_device(all, o.accelerator));
  }
  ops::SearchSpace space;
  for (const ops::Accelerator& a : all.all) {
    if (only != nullptr && &a != only) continue;
    // A CPU's memory is its owner's: it is planned where the intake or --memory-gb says it.
    if (a.memory_gb || request.memory_gb > 0) space.accelerators.push_back(&a);
  }
  space.weights = {
      {request.shape.bits_per_weight, request.shape.precision, request.shape.activations}};
  for (const auto& [bits, precision] :
       {std::pair(8.0, "fp8"), std::pair(4.5, "int4"), std::pair(4.5, "fp4")}) {
    if (bits < request.shape.bits_per_weight - 1)
      space.weights.push_back({bits, precision, o.activations});
  }
  const ops::EfficiencyRange range = ops::efficiency_range(request);
  space.engines = {
      {request.fitted ? "fitted to one (hypothesis)" : "any (hypothesis)", ops::middle(range)}};
  const SystemClock clock;
  std::optional<ProgressBar> bar;
  WEIR_ASSIGN(const ops::SearchResult found,
              ops::search_plans(request, space, [&](size_t done, size_t n) {
                if (!bar) bar.emplace("searching", n, clock);
                bar->update(done);
              }));
  bar.reset();
  if (!o.html.empty()) WEIR_TRY(os::write_file_atomic(o.html, ops::plan_html({}, &found)));
  if (o.json) {
    fmt::print("{}\n", ops::search_json(found).dump());
  } else {
    fmt::print("{}", ops::head_text(request));
    fmt::print("{}", ops::search_text(found, 12));
  }
  return !found.found.empty();
}

}  // namespace weir::cli
