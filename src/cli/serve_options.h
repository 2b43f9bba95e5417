// What `weir serve` can be told, by flag, environment or file, as one table.
#pragma once

#include <cstdint>
#include <string>

#include "cli/load.h"
#include "cli/telemetry_options.h"
#include "config/table.h"
#include "engine/engine.h"
#include "server/kv_event_publisher.h"
#include "server/options.h"

namespace weir::cli {

struct ServeOptions {
  ServeOptions();

  std::string model;
  std::string load_type;
  std::string name;
  TelemetryFlags telemetry;
  server::ServerConfig server;
  engine::EngineLimits limits;
  int threads = 0;
  int64_t kv_tokens = 0;
  KvTypeFlags kv;
  engine::PrefixOptions prefix;
  uint64_t tier_bytes = 0;
  std::string tier_file;
  server::KvEventAddresses kv_events;
  double queue_timeout_s = 0;
  std::string fairness = "vtc";
  std::string draft;
  std::string speculate = "auto";  // as parse_speculate takes it
  std::string pooling;
  int32_t drain_timeout_s = 30;
  std::string admin_token_file;
  bool calibrate = true;
  engine::Slo slo;  // of both classes, where they have none of their own
};

// A new option is a field above and one line in serve_options.cc.
config::Table<ServeOptions> serve_table();

// The options as the settings say, with what they point to (the admin token's file). Errors: those
// of parse_speculate and os::read_file.
Result<ServeOptions> make_options(const config::Table<ServeOptions>& table,
                                  const config::Settings& settings);

// What is wrong with them as far as that can be known before a model is loaded, so that a slip does
// not cost minutes, and `weir config check` finds it. Errors: kUsage for options that do not go
// together; those of server::check_config.
Status check_options(const ServeOptions& options);

// What a command line says: the config file, and the flags.
struct ServeGiven {
  config::Table<ServeOptions> table = serve_table();
  std::string config_file;
  config::FlagValues flags;
};

// MODEL, --config and the flags of the table. `given` outlives the parsing.
void add_serve_flags(CLI::App* command, ServeGiven& given);

}  // namespace weir::cli
