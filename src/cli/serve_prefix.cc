#include "cli/serve_prefix.h"

#include <fmt/format.h>

#include "kernels/isa.h"
#include "kernels/kv_type.h"
#include "os/build_id.h"

namespace weir::cli {
namespace {

// Of the build's ID in a snapshot's traits, which have little room: 64 bits.
constexpr size_t kBuildIdDigits = 16;

void log_snapshot(telemetry::Logger& log, const engine::SnapshotReport& r) {
  using Kind = engine::SnapshotReport::Kind;
  if (r.error.has_value()) {
    log.warn(r.kind == Kind::kIgnored ? "kv_snapshot_ignored" : "kv_snapshot_not_written",
             {{"reason", r.error->message}});
  } else {
    log.info(r.kind == Kind::kRestored ? "kv_snapshot_restored" : "kv_snapshot_written",
             {{"pages", r.pages}, {"ms", r.ms}});
  }
}

Result<std::unique_ptr<kv::PageTier>> make_tier(const ServeOptions& o, engine::Runner& runner) {
  const size_t page_bytes = runner.page_bytes(0).size();
  if (o.tier_file.empty()) return kv::PageTier::in_memory(o.tier_bytes, page_bytes);
  return kv::PageTier::in_file(o.tier_file, o.tier_bytes, page_bytes);
}

}  // namespace

Status prepare_prefix(ServeOptions& o, engine::LoadedModel& model, telemetry::Logger& log,
                      PrefixParts& parts) {
  // An encoder's tokens see later ones: a prefix says nothing about them.
  o.prefix.enabled = o.prefix.enabled && !model.config().arch->encoder;
  if (!o.prefix.enabled) return {};
  WEIR_ASSIGN(const kernels::KvTypes types, o.kv.types());
  o.prefix.model = model.identity();
  // Block types were not transformed once (KvLayout): pages from then mean something else. And
  // another build may compute other bits; what a snapshot holds must be those of this one.
  const bool transformed = kernels::is_block_type(types.k) || kernels::is_block_type(types.v);
  o.prefix.traits = fmt::format("{} {}{} {} {}", kernels::isa_name(model.isa()),
                                kernels::kv_types_name(types), transformed ? " hadamard" : "",
                                o.load_type, os::build_id().substr(0, kBuildIdDigits));
  o.prefix.on_snapshot = [&log](const engine::SnapshotReport& r) { log_snapshot(log, r); };
  o.prefix.events = &parts.events;
  if (o.tier_bytes > 0) {
    WEIR_ASSIGN(parts.tier, make_tier(o, model.runner()));
    o.prefix.tier = parts.tier.get();
  }
  if (!o.kv_events.publish.empty()) {
    WEIR_ASSIGN(parts.publisher,
                server::KvEventPublisher::start(o.kv_events, parts.events, engine::kPageTokens));
  }
  return {};
}

}  // namespace weir::cli
