// Advice for one intake: the ways through the trees, and what they tell to do, in the order of
// where a request's time goes.
#pragma once

#include <string>
#include <vector>

#include "ops/advise/action.h"
#include "ops/advise/walk.h"
#include "ops/plan/plan_file.h"

namespace weir::ops {

// Where the time of a request goes, in ms; how it is known.
struct Latency {
  double queue_ms = 0, prefill_ms = 0, decode_ms = 0;
  bool known = false;
  std::string how;  // "observed", or the arithmetic

  double total_ms() const { return queue_ms + prefill_ms + decode_ms; }
};

// From observed.queue_ms_mean and its siblings; else from TTFT, ITL and answer lengths; else not
// known.
Latency latency_of(const Intake& intake);
// What a plan expects of its pessimistic end: prefill is TTFT p50 alone, queue what TTFT p50 at the
// highest load adds to it, decode ITL p50 at that load × (answer p50 − 1). Not known of a plan that
// cannot serve even one request within the SLO.
Latency planned_latency(const PlanFile& plan);

enum class ActionState : uint8_t { kDo, kAlready, kImpossible };

struct AdvisedAction {
  const Action* action = nullptr;
  ActionState state = ActionState::kDo;
  std::vector<std::string> from;  // "tree/leaf" that told so
  double share = 0;               // of the request's time in what it eases; 0: not known
};

struct Advice {
  std::vector<Walk> walks;
  std::vector<AdvisedAction> actions;  // those to do first, by share, then as the trees have them
  Latency latency;
  std::vector<std::string> missing;  // fields that steps had to assume, each once
};

// Pure. `trees` and `actions` outlive the result. The intake is taken with what follows of it
// (with_inferred); the plan says where the time goes when nothing was observed. Error kCorrupt for
// a leaf whose action is not there.
Result<Advice> advise(const std::vector<Tree>& trees, const Actions& actions, const Intake& intake,
                      const PlanFile* plan = nullptr);

// {value} of a field in the text of a command, such as "--concurrency {traffic.concurrency}"; what
// is not known becomes its name in capitals.
std::string fill_in(std::string_view text, const Intake& intake);

}  // namespace weir::ops
