#include "cli/config_keeper.h"

#include <utility>

#include "cli/key_flags.h"
#include "text/json.h"

namespace weir::cli {
namespace {

text::Json names(const std::vector<std::string>& paths) {
  text::Json list = text::Json::array();
  for (const std::string& p : paths) list.push_back(p);
  return list;
}

}  // namespace

ConfigKeeper::ConfigKeeper(const ServeGiven& given, config::Settings settings, const Clock& clock,
                           telemetry::Logger& log)
    : given_(given), clock_(clock), log_(log), settings_(std::move(settings)) {}

void ConfigKeeper::attach(server::Server& server) {
  MutexLock lock(mutex_);
  server_ = &server;
}

Result<config::Settings> ConfigKeeper::read_again() const {
  return resolve_settings(given_.table.keys(), given_.flags, given_.config_file);
}

Result<std::string> ConfigKeeper::apply(const config::Settings& next) {
  if (server_ == nullptr) return make_error(ErrorCode::kUsage, "the server is still starting");
  WEIR_ASSIGN(const ServeOptions options, make_options(given_.table, next));
  WEIR_ASSIGN(const telemetry::LogLevel level,
              telemetry::parse_log_level(options.telemetry.log_level));
  WEIR_TRY(server_->reload(options.server));  // the last step that can fail
  log_.set_level(level);
  const std::vector<std::string> restart = config::not_reloadable(settings_, next);
  std::vector<std::string> taken = config::changed(settings_, next);
  std::erase_if(taken,
                [&](const std::string& p) { return next.at(p).key->spec.reloadable == false; });
  settings_.take_reloadable(next);
  text::Json report = text::Json::object();
  report.set("reloaded", names(taken));
  report.set("needs_restart", names(restart));
  log_.info("config_reloaded", {{"changed", fmt::format("{}", fmt::join(taken, ","))}});
  if (!restart.empty())
    log_.warn("config_needs_restart", {{"keys", fmt::format("{}", fmt::join(restart, ","))}});
  return report.dump();
}

Result<std::string> ConfigKeeper::reload() {
  MutexLock lock(mutex_);
  auto next = read_again();
  auto report = next.ok() ? apply(*next) : Result<std::string>(next.error());
  text::Json last = text::Json::object();
  last.set("unix_s", clock_.unix_s());
  last.set("ok", report.ok());
  last.set("error", report.ok() ? text::Json() : text::Json(report.error().message));
  last_reload_ = last.dump();
  if (!report.ok()) log_.error("config_reload_failed", {{"why", report.error().message}});
  return report;
}

std::string ConfigKeeper::show() const {
  MutexLock lock(mutex_);
  return fmt::format(R"({{"config":{},"last_reload":{}}})", config::show_json(settings_),
                     last_reload_);
}

}  // namespace weir::cli
