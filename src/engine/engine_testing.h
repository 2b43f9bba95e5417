// For tests: a tiny tokenizer, and sinks that remember what a request got.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer_testing.h"

namespace weir::engine {

inline std::unique_ptr<text::Tokenizer> tiny_tokenizer() {
  auto t = text::testing::load_written(text::testing::tiny_bpe());
  return t.ok() ? std::move(*t) : nullptr;
}

struct Received {
  struct Choice {
    std::vector<int32_t> tokens;
    std::vector<float> logprobs;
    std::vector<TokenInfo> prompt;
    std::optional<TokenInfo> end_token;
    std::string text;
    std::vector<float> embedding;
    std::optional<FinishReason> finish;
    std::optional<Error> error;
  };
  std::vector<Choice> choices;
  Usage usage;
  Timings timings;
  int deliveries = 0;
  bool done = false;
};

// Writes into a Received that outlives the engine.
class RecordingSink final : public EventSink {
 public:
  explicit RecordingSink(Received& to) : to_(to) {}
  void on_delivery(const Delivery& d) override {
    ++to_.deliveries;
    for (const Event& e : d.events) {
      const auto i = static_cast<size_t>(e.choice);
      if (to_.choices.size() <= i) to_.choices.resize(i + 1);
      Received::Choice& c = to_.choices[i];
      EXPECT_FALSE(c.finish.has_value()) << "an event after the finish";
      for (const TokenInfo& t : e.tokens) {
        c.tokens.push_back(t.id);
        c.logprobs.push_back(t.logprob);
      }
      EXPECT_TRUE(e.prompt.empty() || (c.prompt.empty() && c.tokens.size() == e.tokens.size()))
          << "the prompt comes once and first";
      if (!e.prompt.empty()) c.prompt = e.prompt;
      if (e.end_token.has_value()) c.end_token = e.end_token;
      c.text += e.text;
      if (!e.embedding.empty()) c.embedding = e.embedding;
      if (e.finish.has_value()) c.finish = e.finish;
      if (e.error.has_value()) c.error = e.error;
    }
    to_.usage = d.usage;
    to_.timings = d.timings;
    EXPECT_FALSE(to_.done) << "a delivery after the last";
    to_.done = d.done;
  }

 private:
  Received& to_;
};

}  // namespace weir::engine
