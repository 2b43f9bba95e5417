#include "model/pooling.h"

#include <cmath>

namespace weir::model {

std::string_view pooling_name(Pooling pooling) {
  switch (pooling) {
    case Pooling::kNone:
      return "none";
    case Pooling::kMean:
      return "mean";
    case Pooling::kCls:
      return "cls";
    case Pooling::kLast:
      return "last";
  }
  return "none";
}

Result<Pooling> parse_pooling(std::string_view name) {
  for (const Pooling p : {Pooling::kMean, Pooling::kCls, Pooling::kLast}) {
    if (name == pooling_name(p)) return p;
  }
  return make_error(ErrorCode::kUsage, "the pooling \"{}\" is not known; there are mean, cls, last",
                    name);
}

Pooler::Pooler(Pooling pooling, size_t dim, int32_t tokens)
    : pooling_(pooling), tokens_(tokens), dim_(dim) {}

int32_t Pooler::wanted_rows(int32_t position, int32_t count) const {
  switch (pooling_) {
    case Pooling::kMean:
      return count;
    case Pooling::kCls:
      return position == 0 ? count : 0;
    case Pooling::kLast:
      return position + count == tokens_ ? 1 : 0;
    case Pooling::kNone:
      break;
  }
  return 0;
}

void Pooler::add(int32_t position, std::span<const float> rows) {
  if (rows.empty()) return;
  if (pooling_ == Pooling::kCls && position != 0) return;
  sum_.resize(dim_);
  const size_t used = pooling_ == Pooling::kMean ? rows.size() : dim_;  // cls: the first of them
  for (size_t at = 0; at < used; at += dim_) {
    for (size_t i = 0; i < dim_; ++i) sum_[i] += static_cast<double>(rows[at + i]);
  }
}

void Pooler::restart() { sum_ = std::vector<double>(); }

// The divisor of a mean goes away in the length.
Result<std::vector<float>> Pooler::finish() const {
  double squares = 0;
  for (const double v : sum_) squares += v * v;
  if (!std::isfinite(squares)) {
    return make_error(ErrorCode::kInternal, "the model gave an embedding that is not finite");
  }
  const double scale = squares > 0 ? 1.0 / std::sqrt(squares) : 0.0;
  std::vector<float> out(dim_);
  for (size_t i = 0; i < sum_.size(); ++i) out[i] = static_cast<float>(sum_[i] * scale);
  return out;
}

}  // namespace weir::model
