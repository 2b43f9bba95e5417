// A result of `weir eval` from outside; what is accepted must write, and read back the same.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ops/eval/result.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  const auto run = parse_eval_run({reinterpret_cast<const char*>(data), size});
  if (!run.ok()) return run.error().message.empty() ? std::abort(), 0 : 0;
  for (const EvalTask& task : run->tasks) {
    if (run->task(task.name) != &task) std::abort();
    for (const EvalItem& item : task.items) {
      const double* score = item.score(task.metric);
      if (score == nullptr || !std::isfinite(*score)) std::abort();
    }
    const EvalHistogram& h = task.histogram;
    if (!h.edges.empty() && h.edges.size() != h.counts.size() + 1) std::abort();
  }
  const std::string written = to_json(*run);
  const auto again = parse_eval_run(written);
  if (!again.ok() || to_json(*again) != written) std::abort();
  return 0;
}
