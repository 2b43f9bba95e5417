// The configuration of a running server: what it is, and reading it again.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "cli/serve_options.h"
#include "config/settings.h"
#include "server/server.h"
#include "telemetry/log.h"

namespace weir::cli {

// Any thread. Borrows what it is made of and the server.
class ConfigKeeper {
 public:
  ConfigKeeper(const ServeGiven& given, config::Settings settings, const Clock& clock,
               telemetry::Logger& log);

  // From now on reload() has a server to change.
  void attach(server::Server& server) WEIR_EXCLUDES(mutex_);

  // Reads file and environment again, with the flags of the start. What is reloadable holds from
  // now on, all of it or, on an error, nothing; what is not is named and stays. The result is
  // {"reloaded":[…],"needs_restart":[…]}. Logged either way.
  Result<std::string> reload() WEIR_EXCLUDES(mutex_);

  // {"config":[…],"last_reload":{"unix_s","ok","error","needs_restart"}}, secrets masked.
  std::string show() const WEIR_EXCLUDES(mutex_);

 private:
  Result<config::Settings> read_again() const;
  Result<std::string> apply(const config::Settings& next) WEIR_REQUIRES(mutex_);

  const ServeGiven& given_;
  const Clock& clock_;
  telemetry::Logger& log_;
  mutable Mutex mutex_;
  config::Settings settings_ WEIR_GUARDED_BY(mutex_);
  server::Server* server_ WEIR_GUARDED_BY(mutex_) = nullptr;
  std::string last_reload_ WEIR_GUARDED_BY(mutex_) = "null";  // JSON
};

}  // namespace weir::cli
