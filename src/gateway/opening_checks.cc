#include "gateway/opening_checks.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace weir::gateway {
namespace {

// Of the file that the key names, which is written where it says so.
void check_folder(const GatewayConfig& config, std::string_view key, config::Problems& problems) {
  namespace fs = std::filesystem;
  const auto named = std::find_if(config.files.begin(), config.files.end(),
                                  [&](const NamedFile& f) { return f.key == key; });
  if (named == config.files.end()) return;
  const fs::path folder = fs::path(named->path).parent_path();
  std::error_code unreadable;  // is not there
  if (folder.empty() || fs::is_directory(folder, unreadable)) return;
  problems.add(named->line,
               fmt::format("{}: {} cannot be made, since there is no folder {}; make it, or name a "
                           "file in one that there is",
                           key, named->path, folder.string()));
}

}  // namespace

void check_folders(const GatewayConfig& config, config::Problems& problems) {
  check_folder(config, "ledger.file", problems);
  if (config.answers.idempotency_enabled) check_folder(config, "idempotency.file", problems);
  // Without rules no store is opened, and with Redis none of a file.
  if (!config.quotas.rules.all().empty() && !config.quotas.redis.has_value())
    check_folder(config, "state.sqlite", problems);
}

std::vector<std::string> doubtful_prices(const GatewayConfig& config, int32_t today) {
  std::vector<std::string> out;
  for (const ModelPrice& p : config.prices.all()) {
    const PriceAge age = price_age(p, today);
    const std::string which = fmt::format("prices: {} at {}", p.model.substr(0, 100),
                                          p.upstream.empty() ? "any upstream" : p.upstream);
    // A day ahead of UTC is today somewhere.
    if (age.days < -1) {
      out.push_back(
          fmt::format("{} is dated {}, which is in the future; date is the day on which "
                      "the price was read",
                      which, p.date));
    } else if (age.stale) {
      out.push_back(fmt::format(
          "{} was read on {} and stale from {} on; read it again{}, and set "
          "date",
          which, p.date, age.review_by, p.source.empty() ? "" : " at " + p.source.substr(0, 200)));
    }
  }
  return out;
}

}  // namespace weir::gateway
