#include "ops/eval/accuracy.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace weir::ops {
namespace {

struct Mean {
  std::string name;
  double sum = 0;
  double count = 0;
};

std::vector<Mean> means_of(const std::vector<EvalItem>& items) {
  std::vector<Mean> means;
  for (const EvalItem& item : items) {
    for (const auto& [name, value] : item.scores) {
      auto found = std::find_if(means.begin(), means.end(),
                                [&name = name](const Mean& m) { return m.name == name; });
      if (found == means.end()) found = means.insert(means.end(), Mean{name});
      found->sum += value;
      ++found->count;
    }
  }
  return means;
}

}  // namespace

EvalTask accuracy_task(const SuiteTask& task, std::vector<EvalItem> items) {
  EvalTask out;
  out.name = task.name;
  out.kind = task.kind;
  out.metric = task.metric;
  for (const Mean& mean : means_of(items)) {
    out.summary.emplace_back(mean.name, mean.sum / mean.count);
    if (mean.name == task.metric) out.value = out.summary.back().second;
  }
  const auto n = static_cast<double>(items.size());
  if (n > 1) out.error = std::sqrt(out.value * (1 - out.value) / (n - 1));
  out.items = std::move(items);
  return out;
}

}  // namespace weir::ops
