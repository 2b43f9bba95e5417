#include "gateway/incoming.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

using text::Json;

Incoming read(const std::string& path, const std::string& members) {
  const auto in = read_incoming(path, Json::parse(R"({"model":"m",)" + members + "}").value());
  EXPECT_TRUE(in.ok()) << in.error().message;
  return in.ok() ? *in : Incoming{};
}

// Whatever the model reads, in whatever field: a bound of prompts must hold for it.
TEST(Incoming, AllThatTheModelReadsIsCounted) {
  for (const char* name : {"messages", "prompt", "input", "system", "tools", "functions", "suffix",
                           "instructions", "documents", "chat_template"}) {
    for (const char* value : {R"("12345678")", R"([{"a":"1234"},["5678"]])", "[1,2]"}) {
      const std::string members = std::string("\"") + name + "\":" + value;
      EXPECT_EQ(read("/v1/responses", members).input_tokens, 2) << members;
    }
  }
  EXPECT_EQ(read("/v1/responses", R"("user":"12345678","metadata":{"a":"b"})").input_tokens, 0);
}

TEST(Incoming, AnAnswerIsBoundedByWhatThePathsUpstreamsRead) {
  const std::string all =
      R"("max_tokens":1,"max_completion_tokens":2,"max_output_tokens":3,"n":4,"best_of":5)";
  EXPECT_EQ(read("/v1/chat/completions", all).max_output_tokens, 2);
  EXPECT_EQ(read("/v1/completions", all).max_output_tokens, 1);
  EXPECT_EQ(read("/v1/messages", all).max_output_tokens, 1);
  EXPECT_EQ(read("/v1/responses", all).max_output_tokens, 3);
  EXPECT_EQ(read("/v1/embeddings", all).max_output_tokens, 0);
  EXPECT_EQ(read("/v1/completions", all).choices, 5);
}

TEST(Incoming, LlamaCppsNameOfABoundBecomesEverybodys) {
  const auto renamed = [](const std::string& text) {
    Json body = Json::parse(text).value();
    const auto changed = rename_bound(body);
    return changed.ok() ? (*changed ? body.dump() : "as it was") : changed.error().param;
  };
  EXPECT_EQ(renamed(R"({"n_predict":7})"), R"({"n_predict":null,"max_tokens":7})");
  EXPECT_EQ(renamed(R"({"max_tokens":9,"n_predict":7})"), R"({"max_tokens":7,"n_predict":null})");
  EXPECT_EQ(renamed(R"({"max_tokens":9,"n_predict":-1})"), R"({"max_tokens":9,"n_predict":null})");
  for (const char* same : {R"({"n_predict":null})", R"({"a":1})", "[]", "1"})
    EXPECT_EQ(renamed(same), "as it was") << same;
  for (const char* bad : {"-2", "1.5", "\"7\"", "2147483648", "{}"})
    EXPECT_EQ(renamed(std::string(R"({"n_predict":)") + bad + "}"), "n_predict") << bad;
}

}  // namespace
}  // namespace weir::gateway
