#include "mcp/prompts.h"

#include <algorithm>

namespace weir::mcp {
namespace {

using text::Json;
constexpr size_t kMaxArgument = 4000;  // bytes

constexpr const char* kTrend = R"(Question: {question}
Project folder: {folder}

The answer ages, so do not give it from memory.
1. Read weir://skill/SKILL.md, section on trends, and the reference page that the question belongs to.
2. Write the searches down with the current year in each: the topic and "latest", the topic and "benchmark", the topic and
   "deprecated", the release notes of each engine or model that is named. Run them where you can; say which you could not.
3. Prefer primary sources: documentation, papers, release notes. For each: link, publisher, date of publication, date read.
4. Fill four lists: current landscape, emerging, declining, recommendation. Each line ends with a link and a date.
5. Ratios are hypotheses unless the source measured a comparable workload: name its model, hardware, lengths and load.
6. Hold the recommendation against the intake (tool intake or the file intake.yaml) and against what weir advises (tool advise).
7. Without dated evidence call the recommendation unverified. Name the measurement on the user's own load that would decide it.)";

constexpr const char* kReview = R"(Review the deployment in {folder} for the step to {env}.

Use weir://skill/assets/checklists/inference-review-checklist.md as the list. For each item look for evidence in the folder
(intake.yaml, envs/{env}/, evidence/), run the command of the item where there is none, and write pass, fail or waived (who, why, until).
1. Intake complete: tool intake_check. What is missing is a question to the user, not a guess.
2. Configuration: tool config_check on every file of envs/{env}/. An error is a fail.
3. Baseline under realistic concurrency, not single requests: tool bench_load with the trace or the rate of the intake, SLO given.
4. Overload: the same at twice the rate; requests must be refused in time, not time out.
5. Quality: any quantization or kernel change needs tool eval_compare with a suite; without it fail.
6. Host: tool doctor; what is to fix is named with its undo.
7. Telemetry, alerts, limits, retry budget, cache invalidation, security, rollback rehearsed: name the file or the output that shows it.
End with a table item | verdict | evidence, and the sentence "may go to {env}" only when nothing failed.)";

constexpr const char* kQuantize =
    R"(Quantize {model} to {type} with proof, or show that it should not be done.

1. Read weir://skill/references/quantization-patterns.md and the asset page of the method.
2. Baseline: tool eval_task on the suite ({suite}) and tool bench_load at the intake's load with the unquantized model. Keep both results.
3. Importance matrix where the type gains from it: tool imatrix on text of the domain, not of the suite.
4. tool quantize to {type}. Note size and time.
5. tool eval_kl and tool eval_task on the candidate, then tool eval_compare with the baseline. The gate is its verdict, not an eyeball.
6. tool bench_load again, same load, same machine. Faster at equal SLO is the only speed claim.
7. Say what goes back: the old file stays, the configuration names it, and the command that switches is written down.
Report: type, size before and after, quality with interval, TTFT and ITL at p50 and p95 before and after, verdict, rollback command.)";

constexpr const char* kCapacity = R"(Capacity plan for {model} on {accelerator}, project {folder}.

1. tool intake_check. Ask for what is missing in traffic and SLO; take no value that nobody gave or measured without marking it an assumption.
2. Read weir://skill/references/profiling-and-capacity-planning.md.
3. tool plan with model and accelerator: memory, replicas, the highest rate within the SLO, both ends of its range.
4. tool advise for the action that eases the largest part of a request's time; plan again with it.
5. Measure one replica where there is one: tool bench_load at several rates up to refusal. Where plan and measurement differ by more than
   the plan's range, trust the measurement and say so.
6. Redundancy: replicas for the peak with one lost. Headroom of the KV cache at the longest context.
Report: assumptions first, then replicas, parallelism, limits, the figure that binds, what would change the answer, each with its class
(given, measured, sourced, hypothesis).)";

constexpr const char* kIncident = R"(Incident: {symptom}
Server: {url}

Keep the service up first, explain later. Change one thing at a time and write down each change with its undo.
1. Is it alive and ready: GET {url}/health and {url}/ready. What changed last: release, configuration, traffic, host.
2. tool intake with metrics {url} and window 30s into a scratch file: running, waiting, KV cache use, preemptions, TTFT, ITL, errors.
3. Largest part of the time: queue, then prefill, then decode. Queue: too much load or too few slots. Prefill: longer prompts or lost
   prefix hits. Decode: batch too large, KV pressure, a slow host.
4. tool doctor on the host: throttling, cgroup limits, swap, clocks.
5. Read the "When it fails" table of the page that fits: weir://skill/references/resilience-ha-patterns.md, kv-cache-optimization.md,
   batching-and-scheduling.md, streaming-patterns.md.
6. Mitigate in this order: shed load with an honest Retry-After, roll back the last change, lower limits, add replicas.
7. Confirm by the same metrics over the same window, then reproduce with tool bench_load and add the case as a test.
Report: timeline, cause with evidence or "not known", mitigation, undo, what would have caught it.)";

// What stands for {name}; nullptr when it is no argument.
const std::string* value_of(const Prompt& prompt, const Json& arguments, std::string_view name) {
  const auto it = std::find_if(prompt.arguments.begin(), prompt.arguments.end(),
                               [&](const PromptArgument& a) { return a.name == name; });
  if (it == prompt.arguments.end()) return nullptr;
  const Json* value = arguments.find(name);
  return value == nullptr ? &it->otherwise : &value->as_string();
}

}  // namespace

std::vector<Prompt> all_prompts() {
  const PromptArgument folder{"folder", "the project's folder (weir init)", false, "."};
  return {
      {"trend-protocol",
       "Trend protocol",
       "Which engine, quantization, GPU or technique now: searches with today's year, dated "
       "evidence, "
       "a brief",
       {{"question", "what is asked, as the user put it", true, ""}, folder},
       kTrend},
      {"review-checklist",
       "Inference review",
       "Hold a deployment to the review checklist, each item by evidence",
       {folder, {"env", "dev, stage or prod", false, "prod"}},
       kReview},
      {"quantize-with-proof",
       "Quantize with proof",
       "Quantize with a quality gate, a speed measurement and a way back",
       {{"model", "a GGUF file, a folder or a name", true, ""},
        {"type", "the target, such as Q4_K_M", false, "Q4_K_M"},
        {"suite", "the suite of weir eval task", false, "suites/release.yaml"}},
       kQuantize},
      {"capacity-plan",
       "Capacity plan",
       "Replicas, limits and headroom for a load within an SLO",
       {{"model", "a model's id, file or folder", true, ""},
        {"accelerator", "an id of data/accelerators.yaml", true, ""},
        folder},
       kCapacity},
      {"incident-triage",
       "Incident triage",
       "A slow or failing server: keep it up, find the largest part, undo the last change",
       {{"symptom", "what is seen, since when", true, ""},
        {"url", "of the server", false, "http://127.0.0.1:8080"}},
       kIncident},
  };
}

Result<std::string> fill_prompt(const Prompt& prompt, const Json& arguments) {
  if (!arguments.is_null() && !arguments.is_object())
    return make_error(ErrorCode::kInvalidValue, "arguments must be an object");
  if (arguments.is_object()) {
    for (const auto& [name, value] : arguments.members()) {
      const bool known =
          std::any_of(prompt.arguments.begin(), prompt.arguments.end(),
                      [&name = name](const PromptArgument& a) { return a.name == name; });
      if (!known)
        return make_error(ErrorCode::kInvalidValue, "{} has no argument \"{}\"", prompt.name, name);
      if (!value.is_string() || value.size() > kMaxArgument)
        return make_error(ErrorCode::kInvalidValue, "{} must be a string of at most {} bytes", name,
                          kMaxArgument);
    }
  }
  for (const PromptArgument& a : prompt.arguments) {
    if (a.required && arguments.find(a.name) == nullptr)
      return make_error(ErrorCode::kInvalidValue, "the argument {} is missing", a.name);
  }
  std::string out;
  std::string_view rest = prompt.text;
  while (!rest.empty()) {
    const size_t open = std::min(rest.find('{'), rest.size());
    const size_t close = rest.find('}', open);
    out += rest.substr(0, open);
    rest.remove_prefix(open);
    if (close == std::string_view::npos) break;
    const std::string_view name = rest.substr(1, close - open - 1);
    const std::string* value = value_of(prompt, arguments, name);
    out += value == nullptr ? rest.substr(0, close - open + 1) : std::string_view(*value);
    rest.remove_prefix(close - open + 1);
  }
  return out + std::string(rest);
}

}  // namespace weir::mcp
