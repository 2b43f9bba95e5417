// What stands around the prefix cache of a server: its events, its second tier, its snapshot's log.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/serve_options.h"
#include "engine/loaded_model.h"
#include "kv/cache_events.h"
#include "kv/page_tier.h"
#include "server/kv_event_publisher.h"
#include "telemetry/log.h"

namespace weir::cli {

// Outlives the engine. The publisher reads the events, so it goes first.
struct PrefixParts {
  kv::CacheEvents events;
  std::unique_ptr<kv::PageTier> tier;
  std::unique_ptr<server::KvEventPublisher> publisher;
};

// Completes options.prefix for the model. log: borrowed by it. Errors: those of PageTier and
// KvEventPublisher.
Status prepare_prefix(ServeOptions& options, engine::LoadedModel& model, telemetry::Logger& log,
                      PrefixParts& parts);

}  // namespace weir::cli
