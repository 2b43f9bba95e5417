#include "ops/intake/conflicts.h"

#include <fmt/format.h>

namespace weir::ops {
namespace {

struct Order {
  const char* less;
  const char* more;  // must not be below it
};
constexpr Order kOrders[] = {
    {"model.active_parameters_b", "model.parameters_b"},
    {"traffic.prompt_tokens_p50", "traffic.prompt_tokens_p95"},
    {"traffic.prompt_tokens_p95", "traffic.prompt_tokens_p99"},
    {"traffic.prompt_tokens_p50", "traffic.prompt_tokens_p99"},
    {"traffic.output_tokens_p50", "traffic.output_tokens_p95"},
    {"traffic.output_tokens_p95", "traffic.output_tokens_p99"},
    {"traffic.output_tokens_p50", "traffic.output_tokens_p99"},
    {"traffic.prompt_tokens_p95", "model.context_tokens"},
    {"traffic.output_tokens_p95", "model.context_tokens"},
    {"traffic.requests_per_s", "traffic.requests_per_s_peak"},
    {"slo.ttft_ms_p95", "slo.total_ms_p99"},
    {"slo.itl_ms_p95", "slo.total_ms_p99"},
    {"observed.ttft_ms_p50", "observed.ttft_ms_p95"},
    {"observed.ttft_ms_p95", "observed.ttft_ms_p99"},
    {"observed.itl_ms_p50", "observed.itl_ms_p95"},
    {"observed.itl_ms_p95", "observed.itl_ms_p99"},
    {"observed.total_ms_p50", "observed.total_ms_p95"},
    {"observed.total_ms_p95", "observed.total_ms_p99"},
};

class Finder {
 public:
  explicit Finder(const Intake& intake) : intake_(intake) {}

  std::vector<IntakeConflict> run() {
    for (const Order& o : kOrders) {
      const auto less = intake_.number(o.less), more = intake_.number(o.more);
      if (less && more && *less > *more)
        say(o.less, o.more, fmt::format("{} is above {}", shown(o.less), shown(o.more)));
    }
    devices();
    waiting();
    return std::move(out_);
  }

 private:
  std::string shown(const char* path) const {
    const config::Key& key = find_intake_field(path)->key;
    return fmt::format("{} {}", path, config::show(key, intake_.find(path)->value));
  }
  void say(const char* first, const char* second, std::string what) {
    out_.push_back({first, second, std::move(what)});
  }

  void devices() {
    const auto split = intake_.number("stack.tensor_parallel");
    const auto devices = intake_.number("hardware.accelerators_per_node");
    const auto nodes = intake_.number("hardware.nodes");
    if (!split || !devices || !nodes || *devices == 0) return;
    if (*split > *devices * *nodes) {
      say("stack.tensor_parallel", "hardware.accelerators_per_node",
          fmt::format("{} is above {} times {}, all devices that there are",
                      shown("stack.tensor_parallel"), shown("hardware.accelerators_per_node"),
                      shown("hardware.nodes")));
    }
  }

  // Offline means that nobody waits, not that there is no network.
  void waiting() {
    if (intake_.flag("constraints.offline") != true) return;
    const char* kMeaning = "constraints.offline says that answers may come hours later (batch)";
    if (intake_.flag("traffic.streaming") == true) {
      say("constraints.offline", "traffic.streaming",
          fmt::format("{}, but traffic.streaming says that somebody watches them come", kMeaning));
    }
    constexpr double kMinuteMs = 60'000;
    const auto ttft = intake_.number("slo.ttft_ms_p95");
    if (ttft && *ttft < kMinuteMs) {
      say("constraints.offline", "slo.ttft_ms_p95",
          fmt::format("{}, but {} ms wants a first token within a minute", kMeaning,
                      shown("slo.ttft_ms_p95")));
    }
  }

  const Intake& intake_;
  std::vector<IntakeConflict> out_;
};

}  // namespace

std::vector<IntakeConflict> find_conflicts(const Intake& intake) { return Finder(intake).run(); }

}  // namespace weir::ops
