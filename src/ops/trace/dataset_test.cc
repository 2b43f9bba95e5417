#include "ops/trace/dataset.h"
#include "base/paths_testing.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "os/file.h"

namespace weir::ops {
namespace {

constexpr std::string_view kAzure2023 =
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,4808,10\r\n"
    "2023-11-16 18:17:04.0319600,3180,8\r\n"
    "2023-11-17 18:17:03.9799600,110,27\r\n";
constexpr std::string_view kAzure2024 =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-12 00:00:00.003163+00:00,1452,3\n"
    "2024-05-12 00:00:01.003163+00:00,1452,5\n";
constexpr std::string_view kBurst =
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "45,ChatGPT,1087,0,1087,Conversation log\n"
    "118.5,GPT-4,417,276,693,\"API log\"\n";
constexpr std::string_view kMooncake =
    R"({"timestamp": 3000, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]})"
    "\n"
    R"({"timestamp": 1000, "input_length": 512, "output_length": 5, "hash_ids": [0]})"
    "\n";
constexpr std::string_view kPrompts =
    R"({"prompt": "one", "output_tokens": 9})"
    "\n\n"
    R"({"messages": [{"role": "user", "content": "two"}], "max_tokens": 4})"
    "\n";

TEST(Dataset, Azure) {
  const auto d = parse_dataset(kAzure2023);
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->format, "azure");
  ASSERT_EQ(d->rows.size(), 3U);
  EXPECT_EQ(d->rows[0].at_s, 0);
  EXPECT_NEAR(d->rows[1].at_s, 0.052, 1e-6);
  EXPECT_NEAR(d->rows[2].at_s, 86400, 1e-6);
  EXPECT_EQ(d->rows[1].prompt_tokens, 3180);
  EXPECT_EQ(d->rows[1].output_tokens, 8);
  const auto next_year = parse_dataset(kAzure2024);
  ASSERT_TRUE(next_year.ok()) << next_year.error().message;
  EXPECT_NEAR(next_year->rows[1].at_s, 1, 1e-6);
  EXPECT_NEAR(mean_rate(*next_year), 1, 1e-6);
}

TEST(Dataset, BurstGptWithoutItsFailedRequests) {
  const auto d = parse_dataset(kBurst);
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->format, "burstgpt");
  EXPECT_EQ(d->skipped, 1U);
  ASSERT_EQ(d->rows.size(), 2U);
  EXPECT_EQ(d->rows[1].at_s, 113.5);
  EXPECT_EQ(d->rows[1].prompt_tokens, 417);
  EXPECT_EQ(d->rows[1].output_tokens, 276);
}

TEST(Dataset, MooncakeInOrderOfTime) {
  const auto d = parse_dataset(kMooncake);
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->format, "mooncake");
  ASSERT_EQ(d->rows.size(), 2U);
  EXPECT_EQ(d->rows[0].prompt_tokens, 512);
  EXPECT_EQ(d->rows[1].at_s, 2);
  ASSERT_EQ(d->rows[1].block_count, 3U);
  EXPECT_EQ(d->blocks[d->rows[1].first_block + 2], 2U);
}

TEST(Dataset, PromptsOfOnesOwn) {
  const auto d = parse_dataset(kPrompts);
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->kind, Dataset::Kind::kPrompts);
  ASSERT_EQ(d->rows.size(), 2U);
  EXPECT_EQ(d->rows[0].prompt, "one");
  EXPECT_EQ(d->rows[0].output_tokens, 9);
  EXPECT_EQ(d->rows[1].messages, R"([{"role":"user","content":"two"}])");
  EXPECT_EQ(d->rows[1].output_tokens, 4);
}

// A file cut anywhere is read up to there, or refused with the line.
TEST(Dataset, CutAnywhere) {
  for (const std::string_view text : {kAzure2023, kAzure2024, kBurst, kMooncake, kPrompts}) {
    const size_t rows = parse_dataset(text)->rows.size();
    for (size_t cut = 0; cut < text.size(); ++cut) {
      const auto d = parse_dataset(text.substr(0, cut));
      if (d.ok()) {
        EXPECT_LE(d->rows.size(), rows);
        EXPECT_FALSE(d->rows.empty());
      } else {
        EXPECT_FALSE(d.error().message.empty());
      }
    }
  }
}

TEST(Dataset, RefusedWithTheLine) {
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  const auto message = [](const std::string& text) {
    const auto d = parse_dataset(text);
    return d.ok() ? "" : d.error().message;
  };
  EXPECT_NE(message("a,b,c\n1,2,3\n").find("line 1"), std::string::npos);
  EXPECT_NE(message(azure + "1,2\n").find("line 2"), std::string::npos);
  EXPECT_NE(message(azure + "1,2,3\nx,2,3\n").find("line 3"), std::string::npos);
  EXPECT_NE(message(azure + "1,2,-3\n").find("line 2"), std::string::npos);
  EXPECT_NE(message(azure + "1,99999999999,3\n").find("line 2"), std::string::npos);
  EXPECT_NE(message(azure + "2023-13-16 18:17:03,1,3\n").find("line 2"), std::string::npos);
  EXPECT_NE(message(azure + "inf,1,3\n").find("line 2"), std::string::npos);
  EXPECT_EQ(message(azure), "the file has no rows");
  EXPECT_EQ(message(" \n"), "the file is empty");
  EXPECT_NE(message("{\"prompt\":1}\n").find("line 1"), std::string::npos);
  EXPECT_NE(message("{\"prompt\":\"a\"}\n{\"a\n").find("line 2"), std::string::npos);
  EXPECT_NE(message("{\"timestamp\":1}\n").find("line 1"), std::string::npos);
  DatasetLimits limits;
  limits.rows = 1;
  EXPECT_EQ(parse_dataset(kAzure2024, limits).error().code, ErrorCode::kLimit);
  limits = {};
  limits.blocks = 2;
  EXPECT_EQ(parse_dataset(kMooncake, limits).error().code, ErrorCode::kLimit);
}

TEST(Dataset, ThePublishedTraces) {
  const std::string folder = weir::paths::shared("data/traces/");
  const auto rows = [&](const std::string& name) -> size_t {
    const auto bytes = os::read_file(folder + name, 1 << 30);
    if (!bytes.ok()) return 0;
    const auto d = parse_dataset(*bytes);
    EXPECT_TRUE(d.ok()) << d.error().message;
    return d.ok() ? d->rows.size() + d->skipped : 0;
  };
  if (rows("AzureLLMInferenceTrace_code.csv") == 0) GTEST_SKIP() << "no shared data: " << folder;
  EXPECT_EQ(rows("AzureLLMInferenceTrace_code.csv"), 8819U);
  EXPECT_EQ(rows("AzureLLMInferenceTrace_conv.csv"), 19366U);
  EXPECT_EQ(rows("mooncake_conversation_trace.first3000.jsonl"), 3000U);
  EXPECT_EQ(rows("mooncake_synthetic_trace.first3000.jsonl"), 3000U);
}

}  // namespace
}  // namespace weir::ops
