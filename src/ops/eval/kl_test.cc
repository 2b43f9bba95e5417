#include "ops/eval/kl.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/eval/scored_rows.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

constexpr int32_t kVocab = 50;

// Logits are a function of the token and its position; `noise` moves them.
class FakeRunner : public engine::Runner {
 public:
  explicit FakeRunner(float noise) : noise_(noise) {}
  int32_t vocab_size() const override { return kVocab; }
  int32_t max_context_tokens() const override { return 64; }
  int32_t max_step_tokens() const override { return 512; }
  int32_t page_tokens() const override { return 32; }
  int32_t pages() const override { return 8; }
  void copy_page(int32_t, int32_t) override {}
  std::span<std::byte> page_bytes(int32_t) override { return {}; }
  Status forward(std::span<const model::Chunk> batch, std::span<float> logits,
                 std::span<float>) override {
    size_t at = 0;
    for (const model::Chunk& c : batch) {
      const auto n = static_cast<int32_t>(c.tokens.size());
      for (int32_t r = n - c.logit_rows; r < n; ++r) {
        for (int32_t v = 0; v < kVocab; ++v) {
          const int32_t x = c.tokens[static_cast<size_t>(r)] * 31 + (c.position + r) * 17 + v * 7;
          logits[at++] =
              5 * std::sin(static_cast<float>(x)) + noise_ * std::cos(static_cast<float>(x * 3));
        }
      }
    }
    return {};
  }

 private:
  float noise_;
};

KlBaseHeader header() {
  KlBaseHeader h;
  h.vocab = kVocab;
  h.context_tokens = 16;
  h.chunks = 3;
  h.bos = 1;
  h.vocabulary = {1, 2};
  h.text = {3, 4};
  h.model = {5, 6};
  h.name = "base.gguf";
  for (int32_t i = 0; i < h.chunks * h.context_tokens; ++i) h.tokens.push_back(i * 13 % kVocab);
  return h;
}

const kernels::Kernels& kScalar = kernels::kernels_for(kernels::Isa::kScalar);

TEST(KlTest, OneRowIsTheTextbookFormula) {
  const std::vector<float> p = {0.5F, 0.3F, 0.2F};
  const std::vector<float> q = {0.2F, 0.3F, 0.5F};
  std::vector<float> logits;
  for (const float v : p) logits.push_back(std::log(v) + 3);  // softmax takes the shift off
  KlBaseRow row;
  ASSERT_TRUE(quantize_row(kScalar, logits, 2, row).ok());
  logits.clear();
  for (const float v : q) logits.push_back(std::log(v) - 1);
  const auto t = compare_row(kScalar, row, logits, 2);
  ASSERT_TRUE(t.ok());
  // 0.5 ln(0.5/0.2) + 0.2 ln(0.2/0.5) = 0.3 ln 2.5
  EXPECT_NEAR(t->kl, 0.3 * std::log(2.5), 1e-4);
  EXPECT_NEAR(t->loss, -std::log(0.5), 1e-5);
  EXPECT_NEAR(t->base_loss, -std::log(0.2), 1e-4);
  EXPECT_NEAR(t->delta_p, 0.3, 1e-4);
  EXPECT_EQ(t->top, 2);
  EXPECT_EQ(t->base_top, 0);
}

TEST(KlTest, QuantizesFromSixteenNatsBelowTheTop) {
  KlBaseRow row;
  ASSERT_TRUE(quantize_row(kScalar, std::vector<float>{0, -8, -40}, 1, row).ok());
  EXPECT_EQ(row.values[0], 65535);
  EXPECT_EQ(row.values[2], 0);
  EXPECT_NEAR(row.log_p(1), -8 - std::log(1 + std::exp(-8.0)), 2e-4);
  ASSERT_TRUE(quantize_row(kScalar, std::vector<float>{2, 2}, 0, row).ok());
  EXPECT_NEAR(row.log_p(0), std::log(0.5), 1e-6);
  EXPECT_FALSE(quantize_row(kScalar, std::vector<float>{0, NAN}, 0, row).ok());
}

TEST(KlTest, AFileGivesWhatTheBaseBesideGives) {
  const os::TempDir dir;
  FakeRunner base(0);
  FakeRunner candidate(0.5F);
  ASSERT_TRUE(save_kl_base(base, header(), dir.file("b"), {}).ok());
  auto file = KlBaseFile::open(dir.file("b"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->header().name, "base.gguf");
  EXPECT_EQ(file->header().tokens, header().tokens);
  const auto a = measure_kl(candidate, *file, {});
  const auto b = measure_kl(candidate, base, header(), {});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->kl.value, b->kl.value);
  EXPECT_EQ(a->perplexity.value, b->perplexity.value);
  EXPECT_EQ(a->tokens, 3 * 7);  // positions 8 to 14 of 16
  EXPECT_EQ(a->chunks.size(), 3U);
  EXPECT_GT(a->kl.value, 0.01);
  EXPECT_GT(a->max, a->p99);
  EXPECT_GT(a->p99, a->median);
  int64_t counted = 0;
  for (const int64_t c : a->histogram.counts) counted += c;
  EXPECT_EQ(counted, a->tokens);
  // Against itself nothing is left but the rounding to 16 bits.
  const auto self = measure_kl(base, *file, {});
  ASSERT_TRUE(self.ok());
  EXPECT_LT(std::abs(self->kl.value), 1e-4);
  EXPECT_EQ(self->top1.value, 1.0);
  EXPECT_NEAR(self->ratio.value, 1, 1e-6);
}

TEST(KlTest, ABaseFileCutAtAnyByteOrDamagedIsAnError) {
  const os::TempDir dir;
  FakeRunner base(0);
  ASSERT_TRUE(save_kl_base(base, header(), dir.file("b"), {}).ok());
  const auto bytes = os::read_file(dir.file("b"), 1 << 20);
  ASSERT_TRUE(bytes.ok());
  const auto reads = [&](const std::string& changed) {
    EXPECT_TRUE(os::write_file_atomic(dir.file("c"), changed).ok());
    auto file = KlBaseFile::open(dir.file("c"));
    return file.ok() && measure_kl(base, *file, {}).ok();
  };
  EXPECT_TRUE(reads(*bytes));
  EXPECT_FALSE(reads(*bytes + "x"));
  // Each write is synced: the header byte by byte, the rows in steps.
  for (size_t n = 0; n < bytes->size(); n += n < 140 ? 1 : 53)
    EXPECT_FALSE(reads(bytes->substr(0, n)));
  for (size_t n = 0; n < bytes->size(); n += n < 140 ? 1 : 53) {
    std::string changed = *bytes;
    changed[n] = static_cast<char>(changed[n] ^ 0x41);
    EXPECT_FALSE(reads(changed)) << n;
  }
}

TEST(KlTest, RefusesAnotherVocabularyTextOrWindow) {
  const KlBaseHeader h = header();
  const Hash128 text{3, 4};
  const Hash128 other{9, 9};
  EXPECT_TRUE(check_kl_candidate(h, kVocab, h.vocabulary, 64, &text).ok());
  const auto vocabulary = check_kl_candidate(h, 51, other, 64, nullptr);
  ASSERT_FALSE(vocabulary.ok());
  EXPECT_NE(vocabulary.error().message.find("51 tokens"), std::string::npos);
  EXPECT_FALSE(check_kl_candidate(h, kVocab, other, 64, nullptr).ok());
  EXPECT_FALSE(check_kl_candidate(h, kVocab, h.vocabulary, 8, nullptr).ok());
  EXPECT_FALSE(check_kl_candidate(h, kVocab, h.vocabulary, 64, &other).ok());
}

}  // namespace
}  // namespace weir::ops
