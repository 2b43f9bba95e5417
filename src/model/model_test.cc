#include "model/model.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "model/footprint.h"
#include "model/testing.h"

namespace weir::model {
namespace {

constexpr size_t kPageTokens = 16;

// A loaded tiny model with KV memory for some sequences, each with its own pages in scattered
// order.
class Fixture {
 public:
  Fixture(std::vector<std::byte> bytes, kernels::Isa isa, int threads,
          kernels::KvTypes kv_types = {})
      : bytes_(std::move(bytes)), pool_(threads) {
    auto file = gguf::File::parse(bytes_);
    EXPECT_TRUE(file.ok());
    LoadOptions options;
    options.isa = isa;
    options.max_step_tokens = 128;
    options.kv_types = kv_types;
    auto loaded = Model::load(std::move(*file), pool_, options);
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
    model_ = std::move(*loaded);
    const kernels::KvLayout layout = model_->kv_layout(kPageTokens);
    for (int32_t l = 0; l < model_->config().layers; ++l) {
      // NaN as f16, as bf16 and as the scale of a block: unwritten slots must not leak.
      storage_.emplace_back(layout.k_page_bytes() * kPages, std::byte{0xFF});
      storage_.emplace_back(layout.v_page_bytes() * kPages, std::byte{0xFF});
    }
    for (size_t l = 0; l < storage_.size(); l += 2)
      pools_.push_back({storage_[l].data(), storage_[l + 1].data()});
  }

  // Pages of sequence s: every fourth, so that sequences interleave.
  std::vector<int32_t> pages(int32_t s) const {
    std::vector<int32_t> p;
    for (int32_t i = 0; i < static_cast<int32_t>(kPages) / 4; ++i) p.push_back(i * 4 + s);
    return p;
  }

  std::vector<float> forward(std::span<const Chunk> batch) {
    size_t rows = 0;
    for (const Chunk& c : batch) rows += static_cast<size_t>(c.logit_rows);
    std::vector<float> logits(rows * static_cast<size_t>(model_->config().vocab_size));
    const Status status = model_->forward(batch, pools_, kPageTokens, logits);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return logits;
  }

  Model& model() { return *model_; }
  std::span<const kernels::KvPools> pools() const { return pools_; }

 private:
  static constexpr size_t kPages = 32;
  std::vector<std::byte> bytes_;
  kernels::ThreadPool pool_;
  std::unique_ptr<Model> model_;
  std::vector<std::vector<std::byte>> storage_;
  std::vector<kernels::KvPools> pools_;
};

std::vector<int32_t> tokens_of(const TinySpec& spec, size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> t(n);
  for (int32_t& id : t) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(spec.vocab)));
  return t;
}

Chunk chunk_of(std::span<const int32_t> all, size_t from, size_t to, std::span<const int32_t> pages,
               int32_t rows) {
  Chunk c;
  c.tokens = all.subspan(from, to - from);
  c.position = static_cast<int32_t>(from);
  c.pages = pages;
  c.logit_rows = rows;
  return c;
}

std::vector<kernels::Isa> isas() { return kernels::present_isas(os::detect_cpu()); }

TEST(Model, MatchesTheReferenceOnEveryArchitecture) {
  for (const TinySpec& spec : tiny_specs()) {
    const TinyModel tiny(spec);
    const std::vector<int32_t> tokens = tokens_of(spec, 40, 3);
    const auto expected = tiny.reference_logits(tokens);
    for (const kernels::Isa isa : isas()) {
      Fixture f(tiny.to_gguf(), isa, 1);
      const std::vector<int32_t> pages = f.pages(1);
      const Chunk chunk =
          chunk_of(tokens, 0, tokens.size(), pages, static_cast<int32_t>(tokens.size()));
      const std::vector<float> logits = f.forward({&chunk, 1});
      double worst = 0;
      for (size_t t = 0; t < tokens.size(); ++t) {
        for (size_t i = 0; i < expected[t].size(); ++i) {
          worst = std::max(worst, std::abs(static_cast<double>(logits[t * expected[t].size() + i]) -
                                           expected[t][i]));
        }
      }
      // Keys and values are rounded to f16 (2^-11 relative); logits are of the order of 4.
      EXPECT_LT(worst, 0.02) << spec.arch << " scaling " << spec.rope_scaling << " isa "
                             << kernels::isa_name(isa);
    }
  }
}

TEST(Model, ShowsWhatTheCacheIsGiven) {
  for (const TinySpec& spec : tiny_specs()) {
    const TinyModel tiny(spec);
    const std::vector<int32_t> tokens = tokens_of(spec, 40, 3);
    ReferenceCache expected;
    tiny.reference_logits(tokens, &expected);
    Fixture f(tiny.to_gguf(), kernels::Isa::kScalar, 1);
    size_t begin = 0;                      // of the chunk that runs
    std::array<size_t, 2> rows_seen = {};  // of keys, of values
    f.model().observe_inputs([&](const ObservedInput& in) {
      const bool keys = in.reader == MatrixInput::kCachedKeys;
      if (!keys && in.reader != MatrixInput::kCachedValues) return;
      const auto& rows = (keys ? expected.keys : expected.values)[static_cast<size_t>(in.layer)];
      for (size_t t = 0; t < in.rows; ++t) {
        ASSERT_EQ(in.cols, rows[begin + t].size());
        for (size_t i = 0; i < in.cols; ++i)
          ASSERT_NEAR(in.x[t * in.ldx + i], rows[begin + t][i], 0.02) << spec.arch;
      }
      rows_seen[keys ? 0 : 1] += in.rows;
    });
    const std::vector<int32_t> pages = f.pages(1);
    for (const size_t end : {size_t{16}, tokens.size()}) {
      const Chunk chunk = chunk_of(tokens, begin, end, pages, 1);
      f.forward({&chunk, 1});
      begin = end;
    }
    const size_t all = tokens.size() * static_cast<size_t>(spec.layers);
    EXPECT_EQ(rows_seen, (std::array<size_t, 2>{all, all}));
  }
}

// Invariant "same bits": chunking, company and threads do not change a bit.
void expect_same_bits(const TinyModel& tiny, kernels::KvTypes types) {
  const std::vector<int32_t> tokens = tokens_of(tiny.spec(), 60, 5);
  const auto n = static_cast<int32_t>(tokens.size());
  for (const kernels::Isa isa : isas()) {
    Fixture alone(tiny.to_gguf(), isa, 1, types);
    const std::vector<int32_t> pages = alone.pages(0);
    const Chunk whole = chunk_of(tokens, 0, tokens.size(), pages, n);
    const std::vector<float> expected = alone.forward({&whole, 1});
    const size_t vocab = expected.size() / tokens.size();
    for (const size_t step : {1U, 7U, 16U, 33U}) {
      Fixture crowd(tiny.to_gguf(), isa, 3, types);
      const std::vector<int32_t> mine = crowd.pages(2), other = crowd.pages(3);
      const std::vector<int32_t> company = tokens_of(tiny.spec(), 64, 9);
      for (size_t at = 0; at < tokens.size(); at += step) {
        const size_t end = std::min(tokens.size(), at + step);
        const Chunk batch[] = {chunk_of(company, at, at + 1, other, 1),
                               chunk_of(tokens, at, end, mine, static_cast<int32_t>(end - at))};
        const std::vector<float> logits = crowd.forward(batch);
        ASSERT_EQ(std::memcmp(logits.data() + vocab, expected.data() + at * vocab,
                              (end - at) * vocab * sizeof(float)),
                  0)
            << "isa " << kernels::isa_name(isa) << " step " << step << " at " << at << " KV "
            << kernels::kv_types_name(types);
      }
    }
  }
}

TinySpec wide_heads() {
  TinySpec spec = tiny_specs()[8];
  spec.head_dim = 32;
  return spec;
}

TEST(Model, BitsDoNotDependOnChunksCompanyOrThreads) {
  expect_same_bits(TinyModel(tiny_specs()[8]), {});
}

TEST(Model, BitsDoNotDependOnChunksCompanyOrThreadsInAnyKvType) {
  const TinyModel tiny(wide_heads());
  using kernels::KvType;
  for (const kernels::KvTypes types : {kernels::KvTypes{KvType::kBF16, KvType::kBF16},
                                       {KvType::kQ8_0, KvType::kQ4_0},
                                       {KvType::kQ4_0, KvType::kQ8_0}}) {
    expect_same_bits(tiny, types);
  }
}

// Biases put keys far out in a few dimensions that hardly rotate, as in Qwen2. What 4 bits change
// of the logits, relative to their size.
TEST(Model, LosesLittleOfKeysThatStandOutInFourBits) {
  TinySpec spec = tiny_specs()[8];
  spec.arch = "qwen2";
  spec.bias = true;
  spec.head_dim = 64;
  TinyModel tiny(spec);
  for (int32_t l = 0; l < spec.layers; ++l) {
    std::vector<float>& bias = tiny.tensor("blk." + std::to_string(l) + ".attn_k.bias");
    for (size_t i = 0; i < bias.size(); i += 32) bias[i + 30] += i % 64 == 0 ? 20.0F : -15.0F;
  }
  const std::vector<int32_t> tokens = tokens_of(spec, 60, 5);
  const auto logits_of = [&](kernels::KvTypes types) {
    Fixture f(tiny.to_gguf(), kernels::Isa::kScalar, 1, types);
    const std::vector<int32_t> pages = f.pages(0);
    const Chunk all = chunk_of(tokens, 0, tokens.size(), pages, 60);
    return f.forward({&all, 1});
  };
  const std::vector<float> exact = logits_of({});
  using kernels::KvType;
  const std::vector<float> rounded = logits_of({KvType::kQ4_0, KvType::kF16});
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(double{rounded[i]} - exact[i], 2);
    size += std::pow(double{exact[i]}, 2);
  }
  EXPECT_LT(std::sqrt(error / size), 0.12);  // 0.07; 0.24 without the transform of the heads
}

TEST(ModelLoad, RefusesBlocksThatDoNotDivideTheHeads) {
  const TinyModel tiny(tiny_specs()[8]);  // heads of 16
  const auto bytes = tiny.to_gguf();
  kernels::ThreadPool pool(1);
  LoadOptions options;
  options.kv_types.v = kernels::KvType::kQ8_0;
  const auto model = Model::load(gguf::File::parse(bytes).value(), pool, options);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(model.error().message.find("a KV cache of q8_0"), std::string::npos);
}

TEST(Footprint, CountsTheBytesThatTheCacheTakes) {
  const auto bytes = TinyModel(wide_heads()).to_gguf();
  const auto file = gguf::File::parse(bytes).value();
  const Config config = read_config(file).value();
  for (const kernels::KvType k : kernels::kKvTypes) {
    for (const kernels::KvType v : kernels::kKvTypes) {
      const auto f =
          estimate_footprint(file, config, kernels::Isa::kScalar, 64, {k, v}, 16).value();
      const kernels::KvLayout page{64, static_cast<size_t>(config.kv_heads), 32, 32, {k, v}};
      EXPECT_EQ(f.kv_bytes,
                (page.k_page_bytes() + page.v_page_bytes()) * static_cast<uint64_t>(config.layers));
    }
  }
}

TEST(Model, GivesLogitsOnlyWhereAsked) {
  const TinyModel tiny(tiny_specs()[0]);
  const std::vector<int32_t> tokens = tokens_of(tiny.spec(), 24, 5);
  Fixture f(tiny.to_gguf(), kernels::Isa::kScalar, 1);
  const std::vector<int32_t> a = f.pages(0), b = f.pages(1), c = f.pages(2);
  const Chunk all = chunk_of(tokens, 0, 24, a, 24);
  const std::vector<float> full = f.forward({&all, 1});
  const size_t vocab = full.size() / 24;
  const Chunk batch[] = {chunk_of(tokens, 0, 10, b, 0), chunk_of(tokens, 0, 24, c, 2)};
  const std::vector<float> two = f.forward(batch);
  ASSERT_EQ(two.size(), 2 * vocab);
  EXPECT_EQ(std::memcmp(two.data(), full.data() + 22 * vocab, two.size() * sizeof(float)), 0);
  const Chunk none = chunk_of(tokens, 10, 20, b, 0);
  EXPECT_TRUE(f.forward({&none, 1}).empty());
}

TEST(Model, RefusesMalformedBatches) {
  const TinyModel tiny(tiny_specs()[0]);
  Fixture f(tiny.to_gguf(), kernels::Isa::kScalar, 1);
  const std::vector<int32_t> pages = f.pages(0);
  std::vector<float> logits(static_cast<size_t>(tiny.spec().vocab));
  const auto refused = [&](const Chunk& c) {
    return !f.model().forward({&c, 1}, f.pools(), kPageTokens, logits).ok();
  };
  const std::vector<int32_t> bad_id{tiny.spec().vocab}, fine{1}, many(129, 1);
  EXPECT_TRUE(refused(chunk_of(bad_id, 0, 1, pages, 1)));
  EXPECT_TRUE(refused(chunk_of(many, 0, 129, pages, 1)));
  EXPECT_TRUE(refused(chunk_of(fine, 0, 1, {}, 1)));
  EXPECT_TRUE(refused(chunk_of(fine, 0, 1, pages, 2)));
  EXPECT_FALSE(refused(chunk_of(fine, 0, 1, pages, 1)));
}

Error load_error(const std::vector<std::byte>& bytes) {
  kernels::ThreadPool pool(1);
  auto file = gguf::File::parse(bytes);
  EXPECT_TRUE(file.ok());
  auto model = Model::load(std::move(*file), pool, {});
  EXPECT_FALSE(model.ok());
  return model.ok() ? Error{} : model.error();
}

TEST(ModelLoad, NamesTheMissingTensor) {
  const TinyModel tiny(tiny_specs()[0]);
  const Error e = load_error(tiny.to_gguf("blk.1.ffn_down.weight"));
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("blk.1.ffn_down.weight"), std::string::npos) << e.message;
}

TEST(ModelLoad, RefusesNanWeights) {
  TinyModel tiny(tiny_specs()[0]);
  tiny.tensor("blk.0.attn_q.weight")[17] = std::numeric_limits<float>::quiet_NaN();
  const Error e = load_error(tiny.to_gguf());
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("blk.0.attn_q.weight"), std::string::npos) << e.message;
  EXPECT_NE(e.message.find("17"), std::string::npos) << e.message;
}

// An embedding that is no output matrix is not packed; of two places the first is named.
TEST(ModelLoad, RefusesInfiniteEmbeddings) {
  TinySpec spec = tiny_specs()[0];
  spec.tied = false;
  spec.vocab = 3000;  // more than one task
  TinyModel tiny(spec);
  for (const size_t i : {size_t{150'000}, size_t{70'000}})
    tiny.tensor("token_embd.weight")[i] = -std::numeric_limits<float>::infinity();
  const Error e = load_error(tiny.to_gguf());
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("token_embd.weight: element 70000 "), std::string::npos) << e.message;
}

TEST(ModelLoad, RunsOtherWorkOnceBeside) {
  const auto bytes = TinyModel(tiny_specs()[0]).to_gguf();
  for (const int threads : {1, 3}) {
    kernels::ThreadPool pool(threads);
    auto file = gguf::File::parse(bytes);
    ASSERT_TRUE(file.ok());
    int runs = 0;
    size_t tensors = 0;
    LoadOptions options;
    options.beside = [&](const gguf::File& f) {
      ++runs;
      tensors = f.tensors().size();
    };
    const auto model = Model::load(std::move(*file), pool, options);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(tensors, (*model)->file().tensors().size());
  }
}

// A norm in f64 in place of the one in f32.
TEST(ModelLoad, RefusesDoublesThatAreNotFiniteInF32) {
  const std::vector<std::byte> bytes = TinyModel({}).to_gguf();
  const auto file = gguf::File::parse(bytes).value();
  const auto message_with = [&](double value) {
    std::vector<double> norm(64, 1.0);
    norm[5] = value;
    gguf::Writer writer;
    for (const gguf::Metadata& kv : file.metadata()) writer.set(std::string(kv.key), kv.value);
    for (const gguf::Tensor& t : file.tensors()) {
      if (t.name == "output_norm.weight") {
        writer.add_tensor(t.name, gguf::TensorType::kF64, t.shape, std::as_bytes(std::span(norm)));
      } else {
        writer.add_tensor(t.name, t.type, t.shape, t.data);
      }
    }
    return load_error(writer.to_bytes().value()).message;
  };
  EXPECT_NE(message_with(std::numeric_limits<double>::infinity())
                .find("output_norm.weight: element 5 is NaN or infinite"),
            std::string::npos);
  EXPECT_NE(message_with(1e300).find("output_norm.weight: element 5 is not finite in f32"),
            std::string::npos);
}

TEST(ModelLoad, NamesAnUnknownArchitectureAndTheKnownOnes) {
  TinySpec spec;
  spec.arch = "mamba";
  const Error e = load_error(TinyModel(spec).to_gguf());
  EXPECT_EQ(e.code, ErrorCode::kUnsupported);
  EXPECT_NE(e.message.find("mamba"), std::string::npos) << e.message;
  EXPECT_NE(e.message.find("llama, qwen2, qwen2moe"), std::string::npos) << e.message;
}

TEST(ModelLoad, RefusesAWrongShape) {
  // The count is changed in place; the tensors stay as they were.
  std::vector<std::byte> bytes = TinyModel({}).to_gguf();
  const std::string key = "llama.feed_forward_length";
  auto* begin = reinterpret_cast<char*>(bytes.data());
  const std::string_view text(begin, bytes.size());
  const size_t at = text.find(key) + key.size() + 4;
  const uint32_t value = 128;
  std::memcpy(bytes.data() + at, &value, sizeof value);
  const Error e = load_error(bytes);
  EXPECT_EQ(e.code, ErrorCode::kCorrupt);
  EXPECT_NE(e.message.find("blk.0.ffn_gate.weight"), std::string::npos) << e.message;
  EXPECT_NE(e.message.find("128"), std::string::npos) << e.message;
}

}  // namespace
}  // namespace weir::model
