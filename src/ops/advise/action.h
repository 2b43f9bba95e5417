// What leaves of decision trees tell to do, as data: src/ops/advise/actions/*.yaml.
//
//   prefix-cache:
//     title: Reuse the KV cache of common prefixes
//     eases: prefill            # queue prefill decode memory cost quality availability
//     already: stack.prefix_cache                   # a condition: nothing to do
//     needs: hardware.nodes > 1                     # a condition: else it is not possible
//     steps: [...]
//     expect:
//       - {what: first token, value: up to 57x faster, class: sourced, source:
//       llm-d-kvcache-wins-blog,
//          claim: ttft, comparable: "long shared system prompts; yours may share less"}
//       - {what: prefill work, value: less by the shared share, class: hypothesis}
//     assumes: [...]
//     try: weir bench load --shared-prefix 512
//     try_gguf: weir serve MODEL    # in its place where the engine reads GGUF
//     proves: first token p95, prefix hit rate
//     rollback: start the server without --prefix-cache on
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/advise/expression.h"

namespace weir::ops {

// The part of a request's time, or the concern, that an action is for.
enum class Eases : uint8_t { kQueue, kPrefill, kDecode, kMemory, kCost, kQuality, kAvailability };
std::string_view eases_name(Eases eases);

struct Expectation {
  std::string what;
  std::string value;
  std::string kind;        // "sourced", "measured" or "hypothesis"
  std::string source;      // of sourced: the id of a source ...
  std::string claim;       // ... and of its claim
  std::string file;        // of measured
  std::string comparable;  // how far its workload is like this one
};

struct Action {
  std::string id;
  std::string title;
  Eases eases = Eases::kCost;
  std::optional<Expression> already, needs;
  std::vector<std::string> steps;
  std::vector<Expectation> expect;  // at least one
  std::vector<std::string> assumes;
  std::string command;       // "try"
  std::string command_gguf;  // "try_gguf", or ""
  std::string proves;        // the metric
  std::string rollback;      // how it is taken back
};

using Actions = std::map<std::string, Action, std::less<>>;

// Adds to `out`. Error kCorrupt: "NAME:LINE: ..." for an unknown or missing key, an id that stands
// twice, a sourced expectation without source and claim.
Status parse_actions(std::string_view text, std::string_view name, Actions& out);

// Those that the program carries. A test holds that they parse and that sources and claims exist.
Result<Actions> built_in_actions();

}  // namespace weir::ops
