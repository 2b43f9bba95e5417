#include "ops/advise/advice.h"

#include <algorithm>

#include "ops/intake/infer.h"

namespace weir::ops {
namespace {

double share_of(Eases eases, const Latency& latency) {
  if (!latency.known || latency.total_ms() <= 0) return 0;
  switch (eases) {
    case Eases::kQueue:
      return latency.queue_ms / latency.total_ms();
    case Eases::kPrefill:
      return latency.prefill_ms / latency.total_ms();
    case Eases::kDecode:
      return latency.decode_ms / latency.total_ms();
    default:
      return 0;
  }
}

ActionState state_of(const Action& a, const Intake& intake) {
  if (a.already && a.already->evaluate(intake) == Truth::kYes) return ActionState::kAlready;
  if (a.needs && a.needs->evaluate(intake) == Truth::kNo) return ActionState::kImpossible;
  return ActionState::kDo;
}

}  // namespace

Latency latency_of(const Intake& intake) {
  Latency l;
  const auto queue = intake.number("observed.queue_ms_mean");
  const auto prefill = intake.number("observed.prefill_ms_mean");
  const auto decode = intake.number("observed.decode_ms_mean");
  if (queue && prefill && decode) {
    l = {*queue, *prefill, *decode, true, "observed: means of queue, prefill and decode"};
    return l;
  }
  const auto ttft = intake.number("observed.ttft_ms_p50");
  const auto itl = intake.number("observed.itl_ms_p50");
  const auto tokens = intake.number("traffic.output_tokens_p50");
  if (!ttft || !itl || !tokens) return l;
  l.queue_ms = std::min(queue.value_or(0), *ttft);
  l.prefill_ms = *ttft - l.queue_ms;
  l.decode_ms = *itl * std::max(*tokens - 1, 0.0);
  l.known = true;
  l.how = queue ? "observed: TTFT p50 less the mean queue; ITL p50 × (answer p50 − 1)"
                : "observed: TTFT p50, whose queue is not known apart; ITL p50 × (answer p50 − 1)";
  return l;
}

Latency planned_latency(const PlanFile& plan) {
  Latency l;
  const auto& load = plan.low ? plan.low : plan.low_alone;
  const auto& alone = plan.low_alone ? plan.low_alone : plan.low;
  if (!load || !alone) return l;
  l.prefill_ms = std::min(alone->ttft_ms_p50, load->ttft_ms_p50);
  l.queue_ms = load->ttft_ms_p50 - l.prefill_ms;
  l.decode_ms = load->itl_ms_p50 * std::max(plan.workload.output_p50 - 1, 0.0);
  l.known = l.total_ms() > 0;
  l.how = fmt::format(
      "nothing was observed; {} by the plan, its pessimistic end: TTFT p50 alone, what it grows by "
      "at {:.3g} requests/s a replica, ITL p50 there × (answer p50 − 1)",
      plan.evidence_class, load->rate_per_s);
  return l;
}

Result<Advice> advise(const std::vector<Tree>& trees, const Actions& actions, const Intake& given,
                      const PlanFile* plan) {
  const Intake intake = with_inferred(given);
  Advice out;
  out.latency = latency_of(intake);
  if (!out.latency.known && plan != nullptr) out.latency = planned_latency(*plan);
  for (const Tree& tree : trees) {
    out.walks.push_back(walk_tree(tree, intake));
    const Walk& walk = out.walks.back();
    for (const WalkStep& step : walk.steps) {
      for (const std::string& path : step.unknown) {
        if (step.assumed &&
            std::find(out.missing.begin(), out.missing.end(), path) == out.missing.end())
          out.missing.push_back(path);
      }
    }
    for (const TreeNode* leaf : walk.leaves) {
      for (const std::string& id : leaf->actions) {
        const auto found = actions.find(id);
        if (found == actions.end()) {
          return make_error(ErrorCode::kCorrupt, "tree {}, line {}: there is no action {}",
                            tree.name, leaf->line, id);
        }
        const auto known =
            std::find_if(out.actions.begin(), out.actions.end(),
                         [&](const AdvisedAction& a) { return a.action == &found->second; });
        const std::string from = fmt::format("{}/{}", tree.name, leaf->name);
        if (known != out.actions.end()) {
          known->from.push_back(from);
          continue;
        }
        out.actions.push_back({&found->second,
                               state_of(found->second, intake),
                               {from},
                               share_of(found->second.eases, out.latency)});
      }
    }
  }
  std::stable_sort(out.actions.begin(), out.actions.end(),
                   [](const AdvisedAction& a, const AdvisedAction& b) {
                     return std::pair(a.state, -a.share) < std::pair(b.state, -b.share);
                   });
  return out;
}

std::string fill_in(std::string_view text, const Intake& intake) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('{');
    const size_t close = text.find('}', open == std::string_view::npos ? text.size() : open);
    if (open == std::string_view::npos || close == std::string_view::npos) break;
    out += text.substr(0, open);
    const std::string path(text.substr(open + 1, close - open - 1));
    const IntakeField* field = find_intake_field(path);
    const IntakeValue* value = intake.find(path);
    if (field == nullptr) {
      out += text.substr(open, close - open + 1);
    } else if (value != nullptr) {
      out += config::show(field->key, value->value);
    } else {
      for (const char c : path.substr(path.find('.') + 1))
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    text.remove_prefix(close + 1);
  }
  return out + std::string(text);
}

}  // namespace weir::ops
