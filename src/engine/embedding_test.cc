// Texts through the engine: what their embeddings are, and which are refused.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_testing.h"
#include "engine/fake_runner.h"

namespace weir::engine {
namespace {

using model::Pooling;

class EmbeddingTest : public ::testing::Test {
 protected:
  void build(EmbeddingTraits traits, FakeRunner::Shape shape = {}, EngineLimits limits = {}) {
    engine_.reset();
    runner_ = std::make_unique<FakeRunner>(shape);
    runner_->traits = traits;
    engine_ = std::make_unique<Engine>(*runner_, *tokenizer_, clock_, limits);
  }
  static std::vector<int32_t> text(int32_t tokens, int32_t seed = 0) {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < tokens; ++i) ids.push_back((i * 7 + tokens + seed) % 200);
    return ids;
  }
  Received embed(std::vector<std::vector<int32_t>> texts) {
    Received r;
    Request q;
    q.texts = std::move(texts);
    const auto id = engine_->submit(std::move(q), std::make_unique<RecordingSink>(r));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().message);
    run();
    return r;
  }
  void run() {
    for (int i = 0; i < 10'000 && !engine_->idle(); ++i) {
      engine_->step();
      const Status ok = engine_->check_invariants();
      ASSERT_TRUE(ok.ok()) << ok.error().message;
    }
    EXPECT_EQ(engine_->stats().free_pages, engine_->stats().total_pages);
  }
  std::string refusal(std::vector<std::vector<int32_t>> texts) {
    Received r;
    Request q;
    q.texts = std::move(texts);
    const auto id = engine_->submit(std::move(q), std::make_unique<RecordingSink>(r));
    if (!id.ok()) return id.error().param + ": " + id.error().message;
    run();  // the sink writes to r
    return "accepted";
  }
  std::vector<float> alone(EmbeddingTraits traits, const std::vector<int32_t>& ids) {
    build(traits);
    return embed({ids}).choices.at(0).embedding;
  }

  std::unique_ptr<text::Tokenizer> tokenizer_ = tiny_tokenizer();
  ManualClock clock_;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

constexpr EmbeddingTraits kEncoder{5, Pooling::kMean, true};
constexpr EmbeddingTraits kDecoder{5, Pooling::kMean, false};

TEST_F(EmbeddingTest, EveryTextGetsItsOwnVectorOfUnitLength) {
  build(kEncoder);
  const Received r = embed({text(3), text(9), text(9, 1)});
  ASSERT_TRUE(r.done);
  ASSERT_EQ(r.choices.size(), 3U);
  for (const Received::Choice& c : r.choices) {
    ASSERT_EQ(c.embedding.size(), 5U);
    double squares = 0;
    for (const float v : c.embedding) squares += double{v} * double{v};
    EXPECT_NEAR(squares, 1, 1e-6);
    EXPECT_EQ(c.finish, FinishReason::kStop);
  }
  EXPECT_NE(r.choices[1].embedding, r.choices[2].embedding);
  EXPECT_EQ(r.usage.prompt_tokens, 21);
  EXPECT_EQ(r.usage.completion_tokens, 0);
}

TEST_F(EmbeddingTest, IsTheSameAloneAndInHostileCompany) {
  const std::vector<int32_t> ids = text(40);
  for (const EmbeddingTraits& traits :
       {kEncoder, kDecoder, EmbeddingTraits{5, Pooling::kLast, false},
        EmbeddingTraits{5, Pooling::kCls, false}}) {
    const std::vector<float> want = alone(traits, ids);
    FakeRunner::Shape shape;
    shape.pages = 12;  // of 8 tokens: three texts do not fit at once
    build(traits, shape, {.step_tokens = 45, .prefill_chunk_tokens = 7});
    const Received r = embed({text(17), ids, text(38, 3), text(1), ids});
    ASSERT_TRUE(r.done);
    EXPECT_EQ(r.choices.at(1).embedding, want);
    EXPECT_EQ(r.choices.at(4).embedding, want);
  }
}

TEST_F(EmbeddingTest, OfADecoderIsTheSameAfterPreemption) {
  const std::vector<int32_t> ids = text(30);
  const std::vector<float> want = alone(kDecoder, ids);
  FakeRunner::Shape shape;
  shape.pages = 8;
  build(kDecoder, shape, {.step_tokens = 16, .prefill_chunk_tokens = 3});
  // The prompt comes first and generates: it takes pages away from the text half way.
  Received prompt, embedded;
  Request q;
  q.prompt = text(10);
  q.max_tokens = 40;
  q.ignore_eos = true;
  ASSERT_TRUE(engine_->submit(std::move(q), std::make_unique<RecordingSink>(prompt)).ok());
  Request t;
  t.texts = {ids, ids};
  ASSERT_TRUE(engine_->submit(std::move(t), std::make_unique<RecordingSink>(embedded)).ok());
  run();
  EXPECT_EQ(prompt.choices.at(0).tokens.size(), 40U);
  EXPECT_EQ(embedded.choices.at(0).embedding, want);
  EXPECT_EQ(embedded.choices.at(1).embedding, want);
  EXPECT_GT(engine_->stats().preemptions, 0U);
}

TEST_F(EmbeddingTest, AFailingTextTakesDownOnlyItself) {
  build(kEncoder);
  runner_->before = [](std::span<const model::Chunk> batch) -> Status {
    for (const model::Chunk& c : batch) {
      if (c.tokens.size() == 9) return make_error(ErrorCode::kInternal, "nine");
    }
    return {};
  };
  const Received r = embed({text(3), text(9)});
  EXPECT_EQ(r.choices.at(0).finish, FinishReason::kStop);
  EXPECT_EQ(r.choices.at(1).finish, FinishReason::kError);
}

TEST_F(EmbeddingTest, RefusesWhatItCannotEmbed) {
  build(kEncoder, {}, {.step_tokens = 20, .max_texts = 2, .max_text_tokens = 24});
  EXPECT_EQ(engine_->max_context_tokens(), 20);
  EXPECT_EQ(refusal({text(21)}),
            "input[0]: input[0] has 21 tokens; an encoder takes a text in one step, here of at "
            "most 20 (--step-tokens); send less, or have it cut (truncate_prompt_tokens: -1, weir "
            "embed --truncate)");
  EXPECT_EQ(refusal({text(1), {}}), "input[1]: input[1] has no tokens");
  EXPECT_EQ(refusal({{1, 262}}), "input[0]: input[0]: token 262 is outside the vocabulary of 262");
  EXPECT_EQ(refusal({text(1), text(1), text(1)}),
            "input: input has 3 texts; at most 2 are taken (max_texts)");
  EXPECT_EQ(refusal({text(15), text(10)}),
            "input: the texts have 25 tokens together; at most 24 are taken (max_text_tokens): "
            "send fewer at once");
  EXPECT_EQ(refusal({text(20)}), "accepted");
}

TEST_F(EmbeddingTest, KnowsWhichModelsEmbedAndWhichGenerate) {
  build({5, std::nullopt, false});
  EXPECT_NE(refusal({text(3)}).find("--pooling mean or last"), std::string::npos);
  build({5, Pooling::kNone, true});
  EXPECT_NE(refusal({text(3)}).find("pooling_type 0"), std::string::npos);
  build({});
  EXPECT_NE(refusal({text(3)}).find("model: "), std::string::npos);
  build(kEncoder);
  Received r;
  Request q;
  q.prompt = text(3);
  const auto id = engine_->submit(std::move(q), std::make_unique<RecordingSink>(r));
  ASSERT_FALSE(id.ok());
  EXPECT_NE(id.error().message.find("is an encoder"), std::string::npos);
}

}  // namespace
}  // namespace weir::engine
