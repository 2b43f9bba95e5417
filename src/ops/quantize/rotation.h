// Orthogonal matrices that spread what stands out in a few channels over all of them, and that are
// applied in n log n: after random signs, a Hadamard matrix (Sylvester's, of 2^k) ⊗ an orthonormal
// m×m matrix for the odd part of n = 2^k · m, the cosine transform DCT-II. With m = 1 these are
// the rotations of QuaRot (Ashkboos et al., 2024).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// R, n×n. Its bits are a function of n, seed and stream. Const members from any thread.
class Rotation {
 public:
  // The odd part is applied as a dense matrix; no published width comes near this.
  static constexpr size_t kMostOdd = 1023;

  // seed: of the signs, drawn from `stream` of it; nothing: no signs. Error: kUnsupported for an
  // odd part above kMostOdd, naming n.
  static Result<Rotation> make(size_t n, std::optional<uint64_t> seed, uint64_t stream);

  size_t size() const { return n_; }

  // x ← R x for each of `lanes` vectors: element i of vector l is x[i * lanes + l].
  void apply(std::span<double> x, size_t lanes) const;

 private:
  Rotation() = default;
  void mix_odd(std::span<double> x, size_t lanes) const;

  size_t n_ = 0, odd_ = 0;     // odd_: m
  std::vector<double> signs_;  // [n], or empty
  std::vector<double> dense_;  // [m, m], rows are outputs
};

}  // namespace weir::ops
