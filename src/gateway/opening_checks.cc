#include "gateway/opening_checks.h"

#include <filesystem>
#include <utility>

namespace weir::gateway {
namespace {

Status check_folder(std::string_view key, const std::string& path) {
  namespace fs = std::filesystem;
  if (path.empty()) return {};
  const fs::path folder = fs::path(path).parent_path();
  std::error_code unreadable;  // is not there
  if (folder.empty() || fs::is_directory(folder, unreadable)) return {};
  return make_error(ErrorCode::kCorrupt,
                    "{}: {} cannot be made, since there is no folder {}; make it, or name a file "
                    "in one that there is",
                    key, path, folder.string());
}

}  // namespace

Status check_folders(const GatewayConfig& config) {
  WEIR_TRY(check_folder("ledger.file", config.ledger.path));
  if (config.answers.idempotency_enabled)
    WEIR_TRY(check_folder("idempotency.file", config.answers.idempotency_file));
  // Without rules no store is opened, and with Redis none of a file.
  if (!config.quotas.rules.all().empty() && !config.quotas.redis.has_value())
    WEIR_TRY(check_folder("state.sqlite", config.quotas.memory.path));
  return {};
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
