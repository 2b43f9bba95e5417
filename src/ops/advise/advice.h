// Advice for one intake: the ways through the trees, and what they tell to do, in the order of
// where a request's time goes.
#pragma once

#include <string>
#include <vector>

#include "ops/advise/action.h"
#include "ops/advise/walk.h"

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

// Pure. `trees` and `actions` outlive the result. Error kCorrupt for a leaf whose action is not
// there.
Result<Advice> advise(const std::vector<Tree>& trees, const Actions& actions, const Intake& intake);

// {value} of a field in the text of a command, such as "--concurrency {traffic.concurrency}"; what
// is not known becomes its name in capitals.
std::string fill_in(std::string_view text, const Intake& intake);

}  // namespace weir::ops
