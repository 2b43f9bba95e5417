#include "ops/quantize/allocate.h"

#include <algorithm>
#include <numeric>

namespace weir::ops {
namespace {

// From one option of a tensor to a larger one with less loss.
struct Step {
  size_t tensor, from, to;
  uint64_t bytes;  // more
  double saved;    // less loss
  double worth() const { return saved / static_cast<double>(bytes); }
};

// The options of a tensor that no mixture of others beats, by size.
std::vector<size_t> hull_of(const std::vector<TypeOption>& options) {
  std::vector<size_t> order(options.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const TypeOption &x = options[a], &y = options[b];
    return x.bytes != y.bytes ? x.bytes < y.bytes : x.loss < y.loss;
  });
  const auto slope = [&](size_t a, size_t b) {
    return (options[a].loss - options[b].loss) /
           static_cast<double>(options[b].bytes - options[a].bytes);
  };
  std::vector<size_t> hull;
  for (const size_t i : order) {
    if (!hull.empty() && options[i].loss >= options[hull.back()].loss) continue;
    if (!hull.empty() && options[i].bytes == options[hull.back()].bytes) continue;
    while (hull.size() > 1 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), i))
      hull.pop_back();
    hull.push_back(i);
  }
  return hull;
}

class Allocator {
 public:
  explicit Allocator(std::span<const std::vector<TypeOption>> tensors) : tensors_(tensors) {
    for (size_t t = 0; t < tensors.size(); ++t) {
      const std::vector<size_t> hull = hull_of(tensors[t]);
      a_.choice.push_back(hull.front());
      a_.bytes += tensors[t][hull.front()].bytes;
      a_.loss += tensors[t][hull.front()].loss;
      for (size_t i = 1; i < hull.size(); ++i) steps_.push_back(step(t, hull[i - 1], hull[i]));
    }
    // Within a tensor the hull's slopes fall, so its steps stay in order.
    std::stable_sort(steps_.begin(), steps_.end(),
                     [](const Step& x, const Step& y) { return x.worth() > y.worth(); });
  }

  const Allocation& result() const { return a_; }

  // Takes steps while `wanted` says so; one that does not fit is left out, and those after it in
  // the same tensor.
  template <typename Wanted>
  void climb(const Wanted& wanted) {
    for (const Step& s : steps_) {
      if (a_.choice[s.tensor] == s.from && wanted(a_, s)) take(s);
    }
  }

  // Any larger option that still fits, the best first.
  void fill(uint64_t most) {
    for (;;) {
      const Step* best = nullptr;
      std::vector<Step> found = single_steps(most);
      for (const Step& s : found) {
        if (best == nullptr || s.saved > best->saved) best = &s;
      }
      if (best == nullptr) return;
      take(*best);
    }
  }

  // Smaller options of single tensors where the loss allows it.
  void trim(double most) {
    for (;;) {
      Step best{};
      for (size_t t = 0; t < tensors_.size(); ++t) {
        for (size_t i = 0; i < tensors_[t].size(); ++i) {
          const TypeOption &now = tensors_[t][a_.choice[t]], &other = tensors_[t][i];
          if (other.bytes >= now.bytes || a_.loss - now.loss + other.loss > most) continue;
          if (now.bytes - other.bytes > best.bytes)
            best = {t, a_.choice[t], i, now.bytes - other.bytes, now.loss - other.loss};
        }
      }
      if (best.bytes == 0) return;
      a_.bytes -= best.bytes;
      a_.loss -= best.saved;
      a_.choice[best.tensor] = best.to;
    }
  }

 private:
  Step step(size_t tensor, size_t from, size_t to) const {
    const TypeOption &a = tensors_[tensor][from], &b = tensors_[tensor][to];
    return {tensor, from, to, b.bytes - a.bytes, a.loss - b.loss};
  }

  std::vector<Step> single_steps(uint64_t most) const {
    std::vector<Step> out;
    for (size_t t = 0; t < tensors_.size(); ++t) {
      const TypeOption& now = tensors_[t][a_.choice[t]];
      for (size_t i = 0; i < tensors_[t].size(); ++i) {
        const TypeOption& other = tensors_[t][i];
        if (other.loss < now.loss && other.bytes >= now.bytes &&
            a_.bytes + (other.bytes - now.bytes) <= most)
          out.push_back(step(t, a_.choice[t], i));
      }
    }
    return out;
  }

  void take(const Step& s) {
    a_.bytes += s.bytes;
    a_.loss -= s.saved;
    a_.choice[s.tensor] = s.to;
  }

  std::span<const std::vector<TypeOption>> tensors_;
  Allocation a_;
  std::vector<Step> steps_;
};

}  // namespace

Result<Allocation> allocate_bytes(std::span<const std::vector<TypeOption>> tensors, uint64_t most) {
  Allocator allocator(tensors);
  if (allocator.result().bytes > most) {
    return make_error(ErrorCode::kInvalidValue,
                      "the smallest types there are take {} bytes, and {} are allowed",
                      allocator.result().bytes, most);
  }
  allocator.climb([most](const Allocation& a, const Step& s) { return a.bytes + s.bytes <= most; });
  allocator.fill(most);
  return allocator.result();
}

Result<Allocation> allocate_loss(std::span<const std::vector<TypeOption>> tensors, double most) {
  Allocator allocator(tensors);
  allocator.climb([most](const Allocation& a, const Step&) { return a.loss > most; });
  if (allocator.result().loss > most) {
    return make_error(ErrorCode::kInvalidValue,
                      "the best types there are lose {:.5f}, and {:.5f} is allowed",
                      allocator.result().loss, most);
  }
  allocator.trim(most);
  return allocator.result();
}

}  // namespace weir::ops
