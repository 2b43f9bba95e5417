#include "ops/eval/kl.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/quantile.h"
#include "kernels/ops.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/scored_rows.h"

namespace weir::ops {
namespace {

constexpr float kIgnoredLogP = -16;

std::span<const int32_t> chunk_of(const KlBaseHeader& header, int64_t chunk) {
  const auto context = static_cast<size_t>(header.context_tokens);
  return std::span<const int32_t>(header.tokens)
      .subspan(static_cast<size_t>(chunk) * context, context);
}

Mean mean_of(double sum, double squares, double n) {
  Mean m;
  m.value = sum / n;
  const double variance = squares / n - m.value * m.value;
  if (n > 1 && variance > 0) m.error = std::sqrt(variance / (n - 1));
  return m;
}

// Three bins a decade from 1e-6 to 100 nats; what lies outside goes into the first and the last.
EvalHistogram histogram_of(const std::vector<float>& sorted) {
  constexpr int kDecades = 8;
  EvalHistogram h;
  h.name = "KL divergence of a token (nats)";
  for (int i = 0; i <= 3 * kDecades; ++i) h.edges.push_back(std::pow(10.0, i / 3.0 - 6));
  h.counts.assign(h.edges.size() - 1, 0);
  for (const float kl : sorted) {
    const auto above = std::upper_bound(h.edges.begin(), h.edges.end(), static_cast<double>(kl));
    const auto bin = std::clamp<int64_t>(above - h.edges.begin() - 1, 0,
                                         static_cast<int64_t>(h.counts.size()) - 1);
    ++h.counts[static_cast<size_t>(bin)];
  }
  return h;
}

int32_t first_greatest(const std::vector<uint16_t>& values) {
  uint16_t greatest = 0;
  for (const uint16_t v : values) greatest = std::max(greatest, v);
  return static_cast<int32_t>(std::find(values.begin(), values.end(), greatest) - values.begin());
}

// Sum of p (log p - log q) over what the base holds to be likely; log q = logit - log_total.
double divergence(const kernels::Kernels& kernels, const KlBaseRow& base,
                  std::span<const float> logits, double log_total) {
  constexpr size_t kBlock = 1024;
  std::array<float, kBlock> log_p;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto shift = static_cast<float>(log_total);
  double mass = 0, gap = 0;
  for (size_t from = 0; from < logits.size(); from += kBlock) {
    const size_t n = std::min(kBlock, logits.size() - from);
    for (size_t i = 0; i < n; ++i) log_p[i] = base.log_p(from + i);
    const kernels::MassAndGap part =
        kernels::mass_and_gap(kernels, log_p.data(), kIgnoredLogP, logits.data() + from, shift, n);
    mass += part.mass;
    gap += part.gap;
  }
  return gap + mass * (log_total - static_cast<double>(shift));
}

}  // namespace

Result<KlToken> compare_row(const kernels::Kernels& kernels, const KlBaseRow& base,
                            std::span<const float> logits, int32_t target) {
  KlToken t;
  t.top = static_cast<int32_t>(kernels::argmax(kernels, logits.data(), logits.size()));
  t.base_top = first_greatest(base.values);
  const float max = logits[static_cast<size_t>(t.top)];
  const double log_total = kernels::log_sum_exp(kernels, logits.data(), logits.size(), max);
  t.kl = divergence(kernels, base, logits, log_total);
  if (!std::isfinite(log_total) || !std::isfinite(t.kl)) {
    return make_error(ErrorCode::kInternal, "a logit of the candidate is not finite");
  }
  const auto at = static_cast<size_t>(target);
  t.loss = log_total - static_cast<double>(logits[at]);
  t.base_loss = -static_cast<double>(base.target_log_p);
  t.delta_p = std::exp(-t.loss) - std::exp(-t.base_loss);
  return t;
}

void KlCollector::add(int32_t position, const KlToken& t) {
  const double same = t.top == t.base_top ? 1 : 0;
  const double values[5] = {t.kl, t.loss, t.base_loss, t.delta_p, same};
  for (int i = 0; i < 5; ++i) {
    sums_[i] += values[i];
    squares_[i] += values[i] * values[i];
  }
  squares_[5] += (t.loss - t.base_loss) * (t.loss - t.base_loss);
  if (chunk_.tokens == 0 || t.kl > chunk_.worst.kl) {
    chunk_.worst = t;
    chunk_.worst_position = position;
  }
  ++chunk_.tokens;
  chunk_.kl += t.kl;
  chunk_.loss += t.loss;
  chunk_.base_loss += t.base_loss;
  chunk_.delta_p += t.delta_p;
  chunk_.top1 += same;
  kl_.push_back(static_cast<float>(t.kl));
}

void KlCollector::end_chunk() {
  const double n = std::max(chunk_.tokens, 1);
  for (double* v : {&chunk_.kl, &chunk_.loss, &chunk_.base_loss, &chunk_.delta_p, &chunk_.top1}) {
    *v /= n;
  }
  chunks_.push_back(chunk_);
  chunk_ = {};
}

double KlCollector::mean_kl() const {
  return sums_[0] / static_cast<double>(std::max<size_t>(kl_.size(), 1));
}

KlResult KlCollector::result() const {
  const auto n = static_cast<double>(kl_.size());
  KlResult r;
  r.kl = mean_of(sums_[0], squares_[0], n);
  const Mean loss = mean_of(sums_[1], squares_[1], n);
  const Mean base_loss = mean_of(sums_[2], squares_[2], n);
  const Mean difference = mean_of(sums_[1] - sums_[2], squares_[5], n);
  const auto exponential = [](const Mean& m) {
    return Mean{std::exp(m.value), std::exp(m.value) * m.error};
  };
  r.perplexity = exponential(loss);
  r.base_perplexity = exponential(base_loss);
  r.ratio = exponential(difference);
  r.delta_p = mean_of(sums_[3], squares_[3], n);
  r.delta_p_rms = std::sqrt(squares_[3] / n);
  r.top1 = mean_of(sums_[4], squares_[4], n);
  std::vector<float> sorted = kl_;
  std::sort(sorted.begin(), sorted.end());
  r.median = sorted_quantile(sorted, 0.5);
  r.p90 = sorted_quantile(sorted, 0.9);
  r.p99 = sorted_quantile(sorted, 0.99);
  r.p999 = sorted_quantile(sorted, 0.999);
  r.min = static_cast<double>(sorted.front());
  r.max = static_cast<double>(sorted.back());
  r.tokens = static_cast<int64_t>(kl_.size());
  r.chunks = chunks_;
  r.histogram = histogram_of(sorted);
  return r;
}

Status save_kl_base(engine::Runner& base, const KlBaseHeader& header, const std::string& path,
                    const KlProgress& progress) {
  WEIR_ASSIGN(KlBaseWriter writer, KlBaseWriter::create(path, header));
  const kernels::Kernels& kernels = kernels::kernels_for(base.isa());
  ScoredRows rows(base, header.context_tokens, header.bos);
  KlBaseRow row;
  std::span<const int32_t> chunk;
  const auto write = [&](int32_t position, std::span<const float> logits) -> Status {
    WEIR_TRY(quantize_row(kernels, logits, chunk[static_cast<size_t>(position) + 1], row));
    writer.write(row);
    return {};
  };
  for (int64_t i = 0; i < header.chunks; ++i) {
    chunk = chunk_of(header, i);
    WEIR_TRY(rows.run(chunk, write));
    WEIR_TRY(writer.end_chunk());
    if (progress) progress(i + 1, header.chunks, 0);
  }
  return writer.commit();
}

Result<KlResult> measure_kl(engine::Runner& candidate, const KlBaseHeader& header,
                            const KlBaseSource& base, const KlProgress& progress) {
  const kernels::Kernels& kernels = kernels::kernels_for(candidate.isa());
  ScoredRows rows(candidate, header.context_tokens, header.bos);
  KlCollector collector;
  for (int64_t i = 0; i < header.chunks; ++i) {
    const auto chunk = chunk_of(header, i);
    const int32_t first = header.context_tokens / 2;
    WEIR_TRY(rows.run(chunk, [&](int32_t position, std::span<const float> logits) -> Status {
      WEIR_ASSIGN(const KlBaseRow* row, base(i, position - first));
      WEIR_ASSIGN(const KlToken token,
                  compare_row(kernels, *row, logits, chunk[static_cast<size_t>(position) + 1]));
      collector.add(position, token);
      return {};
    }));
    collector.end_chunk();
    if (progress) progress(i + 1, header.chunks, collector.mean_kl());
  }
  return collector.result();
}

Result<KlResult> measure_kl(engine::Runner& candidate, KlBaseFile& base,
                            const KlProgress& progress) {
  KlBaseRow buffer;
  int64_t current = -1;
  const auto source = [&](int64_t chunk, int32_t row) -> Result<const KlBaseRow*> {
    if (chunk != current) WEIR_TRY(base.begin_chunk(chunk));
    current = chunk;
    WEIR_TRY(base.read(row, buffer));
    return &buffer;
  };
  return measure_kl(candidate, base.header(), source, progress);
}

Result<KlResult> measure_kl(engine::Runner& candidate, engine::Runner& base,
                            const KlBaseHeader& header, const KlProgress& progress) {
  const kernels::Kernels& kernels = kernels::kernels_for(base.isa());
  ScoredRows rows(base, header.context_tokens, header.bos);
  std::vector<KlBaseRow> chunk_rows(static_cast<size_t>(scored_rows(header.context_tokens)));
  int64_t current = -1;
  const auto source = [&](int64_t chunk, int32_t row) -> Result<const KlBaseRow*> {
    if (chunk != current) {
      size_t at = 0;
      const auto ids = chunk_of(header, chunk);
      WEIR_TRY(rows.run(ids, [&](int32_t position, std::span<const float> logits) {
        return quantize_row(kernels, logits, ids[static_cast<size_t>(position) + 1],
                            chunk_rows[at++]);
      }));
      current = chunk;
    }
    return &chunk_rows[static_cast<size_t>(row)];
  };
  return measure_kl(candidate, header, source, progress);
}

Status check_kl_candidate(const KlBaseHeader& base, int32_t vocab, const Hash128& vocabulary,
                          int32_t max_context_tokens, const Hash128* text) {
  if (vocab != base.vocab || vocabulary != base.vocabulary) {
    return make_error(ErrorCode::kInvalidValue,
                      "the candidate has another vocabulary than the base {}: {} tokens with hash "
                      "{}, against {} with {}; KL divergence needs the same",
                      base.name, vocab, hex(vocabulary), base.vocab, hex(base.vocabulary));
  }
  if (base.context_tokens > max_context_tokens) {
    return make_error(ErrorCode::kInvalidValue,
                      "the base was run at a context of {} tokens and the candidate's window is "
                      "{}: save the base with a smaller --ctx",
                      base.context_tokens, max_context_tokens);
  }
  if (text != nullptr && *text != base.text) {
    return make_error(ErrorCode::kInvalidValue,
                      "the text (-f, hash {}) is not the one that the base {} was run on (hash "
                      "{}): leave -f out, the base file holds its tokens",
                      hex(*text), base.name, hex(base.text));
  }
  return {};
}

}  // namespace weir::ops
