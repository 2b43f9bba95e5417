// Every architecture against the logits, or the hidden states of encoders, that its published
// modelling code computed
// (tests/golden/make_architectures.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/paths_testing.h"
#include "model/model.h"
#include "os/cpu.h"
#include "os/file.h"

namespace weir::model {
namespace {

constexpr size_t kPageTokens = 16;
constexpr int32_t kPages = 8;

std::string folder() { return weir::paths::repository("tests/golden/architectures/"); }

std::vector<std::string> fixtures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Expected {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, vocab]; of an encoder hidden states [tokens, dim]
  size_t vocab = 0;
  bool encoder = false;
};

Expected read_expected(const std::string& name) {
  Expected e;
  e.encoder = std::filesystem::exists(folder() + name + ".hidden");
  const std::string path = folder() + name + (e.encoder ? ".hidden" : ".logits");
  const std::string bytes = os::read_file(path, 1 << 20).value();
  int32_t sizes[2];
  std::memcpy(sizes, bytes.data(), sizeof sizes);
  e.tokens.resize(static_cast<size_t>(sizes[0]));
  e.vocab = static_cast<size_t>(sizes[1]);
  e.logits.resize(e.tokens.size() * e.vocab);
  std::memcpy(e.tokens.data(), bytes.data() + 8, e.tokens.size() * 4);
  std::memcpy(e.logits.data(), bytes.data() + 8 + e.tokens.size() * 4, e.logits.size() * 4);
  return e;
}

class Runner {
 public:
  Runner(const std::string& name, kernels::Isa isa, int threads) : pool_(threads) {
    LoadOptions options;
    options.isa = isa;
    options.max_step_tokens = 64;
    auto loaded = Model::load(gguf::File::open(folder() + name + ".gguf").value(), pool_, options);
    EXPECT_TRUE(loaded.ok()) << name << ": " << (loaded.ok() ? "" : loaded.error().message);
    if (!loaded.ok()) return;
    model_ = std::move(*loaded);
    const kernels::KvLayout layout = model_->kv_layout(kPageTokens);
    for (int32_t l = 0; l < model_->config().layers; ++l) {
      storage_.emplace_back(layout.k_page_bytes() * kPages, std::byte{0xFF});
      storage_.emplace_back(layout.v_page_bytes() * kPages, std::byte{0xFF});
    }
    for (size_t l = 0; l < storage_.size(); l += 2)
      kv_.push_back({storage_[l].data(), storage_[l + 1].data()});
  }

  bool ok() const { return model_ != nullptr; }

  // Logits or hidden states of all tokens, in chunks of `step`.
  std::vector<float> run(const Expected& e, size_t step) {
    std::vector<int32_t> pages;
    for (int32_t p = 0; p < kPages; ++p) pages.push_back(kPages - 1 - p);
    std::vector<float> all;
    for (size_t at = 0; at < e.tokens.size(); at += step) {
      const size_t n = std::min(step, e.tokens.size() - at);
      Chunk chunk;
      chunk.tokens = std::span(e.tokens).subspan(at, n);
      chunk.position = static_cast<int32_t>(at);
      chunk.pages = pages;
      (e.encoder ? chunk.hidden_rows : chunk.logit_rows) = static_cast<int32_t>(n);
      std::vector<float> logits(n * e.vocab);
      forward({&chunk, 1}, e.encoder, logits);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  // The hidden states of `text` in one step behind and before two others of `other` tokens.
  std::vector<float> run_in_company(const Expected& e, size_t other) {
    std::vector<int32_t> pages[3];
    for (int32_t p = 0; p < kPages; ++p)
      pages[p < 2 ? 0 : (p < 6 ? 1 : 2)].push_back(kPages - 1 - p);
    std::vector<Chunk> batch(3);
    std::vector<float> out;
    for (size_t i = 0; i < batch.size(); ++i) {
      const size_t n = i == 1 ? e.tokens.size() / 2 : other;
      batch[i].tokens = std::span(e.tokens).subspan(i == 1 ? 0 : 7, n);
      batch[i].pages = pages[i];
      batch[i].hidden_rows = static_cast<int32_t>(n);
      out.resize(out.size() + n * e.vocab);
    }
    forward(batch, true, out);
    const auto at = out.begin() + static_cast<std::ptrdiff_t>(other * e.vocab);
    return {at, at + static_cast<std::ptrdiff_t>(e.tokens.size() / 2 * e.vocab)};
  }

 private:
  void forward(std::span<const Chunk> batch, bool hidden, std::span<float> out) {
    const std::span<float> none;
    const Status status =
        model_->forward(batch, kv_, kPageTokens, hidden ? none : out, hidden ? out : none);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  }

  kernels::ThreadPool pool_;
  std::unique_ptr<Model> model_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<kernels::KvPools> kv_;
};

// The greatest difference of a position, relative to its greatest logit.
double worst_error(const Expected& e, const std::vector<float>& got) {
  double worst = 0;
  for (size_t t = 0; t < e.tokens.size(); ++t) {
    double top = 0;
    double difference = 0;
    for (size_t v = 0; v < e.vocab; ++v) {
      const auto want = static_cast<double>(e.logits[t * e.vocab + v]);
      top = std::max(top, std::fabs(want));
      const double d = std::fabs(static_cast<double>(got[t * e.vocab + v]) - want);
      difference = std::isfinite(d) ? std::max(difference, d) : 1e9;
    }
    worst = std::max(worst, difference / top);
  }
  return worst;
}

// Keys and values are kept in f16: that alone is some 1e-4.
constexpr double kTolerance = 1e-3;

TEST(Architectures, LogitsAreThoseOfThePublishedModels) {
  for (const std::string& name : fixtures()) {
    const Expected e = read_expected(name);
    for (const kernels::Isa isa : kernels::present_isas(os::detect_cpu())) {
      Runner runner(name, isa, 2);
      if (!runner.ok()) continue;
      const double error = worst_error(e, runner.run(e, e.tokens.size()));
      EXPECT_LT(error, kTolerance) << name;
      RecordProperty(name, std::to_string(error));
      if (isa == kernels::Isa::kAvx512) std::printf("%-20s %.1e\n", name.c_str(), error);
    }
  }
}

TEST(Architectures, ChunksAndPastContextGiveTheSameBits) {
  const kernels::Isa isa = kernels::present_isas(os::detect_cpu()).back();
  for (const std::string& name : fixtures()) {
    const Expected e = read_expected(name);
    if (e.encoder) continue;  // a chunk is a whole text
    Runner whole(name, isa, 2);
    if (!whole.ok()) continue;
    const std::vector<float> want = whole.run(e, e.tokens.size());
    for (const size_t step : {size_t{1}, size_t{7}, size_t{24}}) {
      Runner runner(name, isa, 1);
      const std::vector<float> got = runner.run(e, step);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
          << name << " in chunks of " << step;
    }
  }
}

TEST(Architectures, TextsOfAnEncoderHaveTheSameBitsInCompany) {
  const kernels::Isa isa = kernels::present_isas(os::detect_cpu()).back();
  size_t encoders = 0;
  for (const std::string& name : fixtures()) {
    Expected e = read_expected(name);
    if (!e.encoder) continue;
    ++encoders;
    const std::vector<float> company = Runner(name, isa, 2).run_in_company(e, 11);
    e.tokens.resize(e.tokens.size() / 2);
    const std::vector<float> alone = Runner(name, isa, 1).run(e, e.tokens.size());
    ASSERT_EQ(alone.size(), company.size());
    EXPECT_EQ(std::memcmp(alone.data(), company.data(), alone.size() * sizeof(float)), 0) << name;
  }
  EXPECT_EQ(encoders, 2U);
}

TEST(Architectures, EveryRowHasAFixture) {
  std::set<std::string> proven;
  for (const std::string& name : fixtures()) {
    const auto file = gguf::File::open(folder() + name + ".gguf");
    proven.insert(std::string(file->get_string("general.architecture").value()));
  }
  for (const Architecture& a : architectures())
    EXPECT_EQ(proven.count(std::string(a.name)), 1U) << a.name;
}

}  // namespace
}  // namespace weir::model
