// An importance matrix from outside, as GGUF or as .dat: what is accepted keeps its promises.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "memory_file.h"
#include "ops/imatrix/importance.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::ops;
  static weir::fuzz::MemoryFile file;
  file.hold({data, size});
  const auto m = read_imatrix(file.path());
  if (!m.ok()) return m.error().message.empty() ? std::abort(), 0 : 0;
  if (m->entries.empty()) std::abort();
  for (const ImportanceEntry& e : m->entries) {
    if (m->find(e.name) != &e || e.unseen() > e.counts.size()) std::abort();
    const size_t matrices = e.counts.size();
    const size_t cols = e.sum_squares.size() / matrices;
    std::vector<float> means;
    if (!mean_squares(e, cols, matrices, means).ok()) std::abort();
    if (means.size() != cols * matrices) std::abort();
    if (mean_squares(e, cols + 1, matrices, means).ok()) std::abort();
  }
  return 0;
}
