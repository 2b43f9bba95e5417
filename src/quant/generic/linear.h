// The searches over codes that are whole numbers. See quant/search.h.
#pragma once

#include "quant/generic/lanes.h"

namespace weir::quant::generic {

// Weighted sums of a block that no code enters.
template <size_t W>
struct Moments {
  using L = Lanes<W>;
  typename L::F w{}, x{}, xx{};

  Moments(const Batch& b, size_t lane) {
    for (size_t i = 0; i < b.n; ++i) {
      const auto xi = L::load(b.x + i * kLanes + lane);
      const auto wi = L::load(b.w + i * kLanes + lane);
      const auto wx = wi * xi;
      w += wi;
      x += wx;
      xx += wx * xi;
    }
  }
};

template <size_t W>
class AffineFit {
  using L = Lanes<W>;
  using F = typename L::F;

 public:
  AffineFit(const Batch& b, size_t lane, const AffineCodes& codes)
      : b_(b),
        lane_(lane),
        max_(L::set(codes.max)),
        constrained_(codes.min_at_most_zero),
        m_(b, lane),
        error_(m_.xx) {
    low_ = high_ = L::load(b.x + lane);
    for (size_t i = 1; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane);
      low_ = L::min(low_, x);
      high_ = L::max(high_, x);
    }
    if (constrained_) low_ = L::min(low_, F{});
    range_ = high_ - low_;
    // A block of one value: the min alone.
    const auto flat = range_ == F{};
    min_ = flat ? low_ : F{};
    error_ = flat ? F{} : m_.xx + m_.xx;
  }

  void search(const SearchSteps& steps) {
    const F inverse_range = L::reciprocal(range_);
    for (int k = 0; k < steps.count; ++k) {
      const F levels = max_ + steps.first + steps.step * static_cast<float>(k);
      const F inverse = levels * inverse_range;
      // The smallest value has code 0; the largest has the largest.
      const F inverses[2] = {inverse, inverse};
      const F mins[2] = {low_, high_ - max_ * L::reciprocal(inverse)};
      attempt<2>(inverses, mins);
    }
    for (int k = 0; k < steps.refinements; ++k) {
      const F inverse = L::reciprocal(scale_);
      attempt<1>(&inverse, &min_);
    }
  }

  F scale() const { return scale_; }
  F min() const { return min_; }

 private:
  // N choices of codes side by side, so that their sums do not wait for each other.
  template <size_t N>
  void attempt(const F* inverse, const F* min) {
    F sq[N]{}, sqq[N]{}, sxq[N]{}, from[N], times[N];
    for (size_t n = 0; n < N; ++n) {
      from[n] = min[n];
      times[n] = inverse[n];
    }
    for (size_t i = 0; i < b_.n; ++i) {
      const F x = L::load(b_.x + i * kLanes + lane_);
      const F w = L::load(b_.w + i * kLanes + lane_);
      for (size_t n = 0; n < N; ++n) {
        const F q = L::round(L::max(L::min((x - from[n]) * times[n], max_), F{}));
        const F wq = w * q;
        sq[n] += wq;
        sqq[n] += wq * q;
        sxq[n] += wq * x;
      }
    }
    for (size_t n = 0; n < N; ++n) consider(sq[n], sqq[n], sxq[n]);
  }

  // The scale and min that suit the codes best, if their error is the smallest so far.
  void consider(F sq, F sqq, F sxq) {
    const F one = L::set(1.0F);
    const F det = m_.w * sqq - sq * sq;
    const auto solvable = det > F{};
    const F inverse_det = one / (solvable ? det : one);
    F s = (m_.w * sxq - m_.x * sq) * inverse_det;
    F m = (sqq * m_.x - sq * sxq) * inverse_det;
    if (constrained_) {
      const auto above = m > F{};
      m = above ? F{} : m;
      s = above ? sxq / (sqq > F{} ? sqq : one) : s;
    }
    const F error =
        m_.xx - 2.0F * (s * sxq + m * m_.x) + s * s * sqq + 2.0F * s * m * sq + m * m * m_.w;
    const auto better = (solvable != 0) & (error < error_) & (s > F{});
    error_ = better ? error : error_;
    scale_ = better ? s : scale_;
    min_ = better ? m : min_;
  }

  const Batch& b_;
  size_t lane_;
  F max_;
  bool constrained_;
  Moments<W> m_;
  F low_{}, high_{}, range_{};
  F error_, scale_{}, min_{};
};

template <size_t W>
void fit_affine(const Batch& b, const AffineCodes& codes, const SearchSteps& steps, PerBlock& scale,
                PerBlock& min) {
  for (size_t lane = 0; lane < kLanes; lane += W) {
    AffineFit<W> fit(b, lane, codes);
    fit.search(steps);
    Lanes<W>::store(fit.scale(), scale.at + lane);
    Lanes<W>::store(fit.min(), min.at + lane);
  }
}

template <size_t W>
void sum_affine(const Batch& b, const AffineCodes& codes, const PerBlock& scale,
                const PerBlock& min, BlockSums& out) {
  using L = Lanes<W>;
  using F = typename L::F;
  for (size_t lane = 0; lane < kLanes; lane += W) {
    const F s = L::load(scale.at + lane);
    const F m = L::load(min.at + lane);
    const F inverse = L::reciprocal(s);
    const F max = L::set(codes.max);
    F error{}, sq{}, sqq{}, sxq{};
    for (size_t i = 0; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane);
      const F w = L::load(b.w + i * kLanes + lane);
      const F q = L::round(L::max(L::min((x - m) * inverse, max), F{}));
      const F rest = x - (s * q + m);
      const F wq = w * q;
      error += w * rest * rest;
      sq += wq;
      sqq += wq * q;
      sxq += wq * x;
    }
    L::store(error, out.error.at + lane);
    L::store(sq, out.q.at + lane);
    L::store(sqq, out.qq.at + lane);
    L::store(sxq, out.xq.at + lane);
  }
}

template <size_t W>
void codes_affine(const Batch& b, const AffineCodes& codes, const PerBlock& scale,
                  const PerBlock& min, int32_t* out) {
  using L = Lanes<W>;
  using F = typename L::F;
  for (size_t lane = 0; lane < kLanes; lane += W) {
    const F m = L::load(min.at + lane);
    const F inverse = L::reciprocal(L::load(scale.at + lane));
    const F max = L::set(codes.max);
    for (size_t i = 0; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane);
      const F q = L::round(L::max(L::min((x - m) * inverse, max), F{}));
      const auto whole = __builtin_convertvector(q, typename L::I);
      __builtin_memcpy(out + i * kLanes + lane, &whole, sizeof whole);
    }
  }
}

// The search for a scale alone; `nearest` gives the number that a code stands for.
template <size_t W>
class ScaleFit {
  using L = Lanes<W>;
  using F = typename L::F;

 public:
  ScaleFit(const Batch& b, size_t lane) : b_(b), lane_(lane) {}

  // low and high: the numbers of the outer codes, which fall on the largest value in turn.
  template <typename Nearest>
  void search(const SearchSteps& steps, float low, float high, const Nearest& nearest) {
    F largest{};  // in magnitude, with its sign
    for (size_t i = 0; i < b_.n; ++i) {
      const F x = L::load(b_.x + i * kLanes + lane_);
      largest = L::abs(x) > L::abs(largest) ? x : largest;
    }
    const F inverse_largest = L::reciprocal(largest);
    for (int k = 0; k < steps.count; ++k) {
      const float delta = steps.first + steps.step * static_cast<float>(k);
      const F inverses[2] = {(low - delta) * inverse_largest, (high + delta) * inverse_largest};
      attempt<2>(inverses, nearest);
    }
    for (int k = 0; k < steps.refinements; ++k) {
      const F inverse = L::reciprocal(best_);
      attempt<1>(&inverse, nearest);
    }
  }
  F scale() const { return best_; }

 private:
  // N choices side by side, so that their sums do not wait for each other.
  template <size_t N, typename Nearest>
  void attempt(const F* inverse, const Nearest& nearest) {
    F sqq[N]{}, sxq[N]{}, times[N];
    for (size_t n = 0; n < N; ++n) times[n] = inverse[n];
    for (size_t i = 0; i < b_.n; ++i) {
      const F x = L::load(b_.x + i * kLanes + lane_);
      const F w = L::load(b_.w + i * kLanes + lane_);
      for (size_t n = 0; n < N; ++n) {
        const F q = nearest(x * times[n]);
        const F wq = w * q;
        sqq[n] += wq * q;
        sxq[n] += wq * x;
      }
    }
    // What a choice of codes takes off the error Σ w·x² is (Σ w·x·q)² / Σ w·q².
    for (size_t n = 0; n < N; ++n) {
      const F s = sxq[n] * L::reciprocal(sqq[n]);
      const F gain = s * sxq[n];
      const auto better = gain > gain_;
      gain_ = better ? gain : gain_;
      best_ = better ? s : best_;
    }
  }

  const Batch& b_;
  size_t lane_;
  F gain_{}, best_{};
};

template <size_t W>
void fit_symmetric(const Batch& b, const SymmetricCodes& codes, const SearchSteps& steps,
                   PerBlock& scale) {
  using L = Lanes<W>;
  using F = typename L::F;
  const F min = L::set(codes.min);
  const F max = L::set(codes.max);
  const auto nearest = [&](F x) { return L::round(L::max(L::min(x, max), min)); };
  for (size_t lane = 0; lane < kLanes; lane += W) {
    ScaleFit<W> fit(b, lane);
    fit.search(steps, codes.min, codes.max, nearest);
    L::store(fit.scale(), scale.at + lane);
  }
}

// The sums of a scale alone; nearest(F) is the code's value for a value in steps of the scale.
template <size_t W, typename Nearest>
void sum_scaled(const Batch& b, const PerBlock& scale, BlockSums& out, Nearest nearest) {
  using L = Lanes<W>;
  using F = typename L::F;
  for (size_t lane = 0; lane < kLanes; lane += W) {
    const F s = L::load(scale.at + lane);
    const F inverse = L::reciprocal(s);
    F error{}, sqq{}, sxq{};
    for (size_t i = 0; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane);
      const F w = L::load(b.w + i * kLanes + lane);
      const F q = nearest(x * inverse);
      const F rest = x - s * q;
      const F wq = w * q;
      error += w * rest * rest;
      sqq += wq * q;
      sxq += wq * x;
    }
    L::store(error, out.error.at + lane);
    L::store(sqq, out.qq.at + lane);
    L::store(sxq, out.xq.at + lane);
  }
}

template <size_t W>
void sum_symmetric(const Batch& b, const SymmetricCodes& codes, const PerBlock& scale,
                   BlockSums& out) {
  using L = Lanes<W>;
  using F = typename L::F;
  const F min = L::set(codes.min);
  const F max = L::set(codes.max);
  sum_scaled<W>(b, scale, out, [&](F steps) { return L::round(L::max(L::min(steps, max), min)); });
}

template <size_t W>
void codes_symmetric(const Batch& b, const SymmetricCodes& codes, const PerBlock& scale,
                     int32_t* out) {
  using L = Lanes<W>;
  using F = typename L::F;
  for (size_t lane = 0; lane < kLanes; lane += W) {
    const F inverse = L::reciprocal(L::load(scale.at + lane));
    const F min = L::set(codes.min);
    const F max = L::set(codes.max);
    for (size_t i = 0; i < b.n; ++i) {
      const F x = L::load(b.x + i * kLanes + lane);
      const F q = L::round(L::max(L::min(x * inverse, max), min)) - min;
      const auto whole = __builtin_convertvector(q, typename L::I);
      __builtin_memcpy(out + i * kLanes + lane, &whole, sizeof whole);
    }
  }
}

}  // namespace weir::quant::generic
