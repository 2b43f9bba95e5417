#include "ops/eval/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "ops/eval/result.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using text::Json;

const std::string kVocabulary(32, 'a');

std::vector<int32_t> text_of(uint64_t seed, size_t tokens) {
  std::vector<int32_t> out(tokens);
  for (size_t i = 0; i < tokens; ++i)
    out[i] = static_cast<int32_t>(random_unit(seed, 0, i) * 30'000);
  return out;
}

std::vector<int32_t> join(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Windows, OfAShortTextAllAreKept) {
  const auto text = text_of(1, 1'000);
  const TextWindows w = windows_of(text, kVocabulary);
  EXPECT_EQ(w.hashes.size(), 1'000 - kWindowTokens + 1);
  EXPECT_EQ(w.threshold, TextWindows::kAll);
  EXPECT_EQ(overlap_of(w, text).share(), 1.0);
  EXPECT_EQ(overlap_of(w, text_of(2, 1'000)).share(), 0.0);
  EXPECT_TRUE(windows_of(text_of(1, kWindowTokens - 1), kVocabulary).hashes.empty());
  EXPECT_EQ(windows_of(text_of(1, kWindowTokens), kVocabulary).hashes.size(), 1U);
}

TEST(Windows, OfALongTextTheShareIsEstimated) {
  const auto calibration = text_of(1, 200'000);
  const TextWindows w = windows_of(calibration, kVocabulary);
  EXPECT_EQ(w.hashes.size(), kMaxHashes);
  EXPECT_LE(w.hashes.size() * sizeof(uint64_t), 64U << 10);
  EXPECT_TRUE(std::ranges::is_sorted(w.hashes));
  // A quarter of the test text stands in the calibration text, at no round place.
  const std::vector<int32_t> copied(calibration.begin() + 77'777, calibration.begin() + 87'777);
  const Overlap o = overlap_of(w, join(text_of(2, 30'000), copied));
  EXPECT_NEAR(static_cast<double>(o.sampled), 40'000 * 0.04, 200);
  EXPECT_NEAR(o.share(), 0.25, 0.04);
}

// What is kept depends on nothing but the set of windows.
TEST(Windows, MergedTheyAreThoseOfBothTexts) {
  const auto a = text_of(1, 50'000), b = text_of(2, 9'000);
  const auto both = merge(windows_of(a, kVocabulary), windows_of(b, kVocabulary));
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->hashes.size(), kMaxHashes);
  EXPECT_EQ(overlap_of(*both, a).share(), 1.0);
  EXPECT_EQ(overlap_of(*both, b).share(), 1.0);
  const auto again = merge(*both, windows_of(b, kVocabulary));
  EXPECT_EQ(again->hashes, both->hashes);
  EXPECT_EQ(again->threshold, both->threshold);
  EXPECT_FALSE(merge(*both, windows_of(b, std::string(32, 'b'))).ok());
}

// A file with these windows.
Result<gguf::File> file_with(std::vector<std::byte>& bytes, const TextWindows& w,
                             uint32_t width = kWindowTokens) {
  gguf::Writer writer;
  const std::vector<int64_t> values(w.hashes.begin(), w.hashes.end());
  writer.set_int64s("weir.calibration.windows", values);
  writer.set_uint64("weir.calibration.threshold", w.threshold);
  writer.set_uint("weir.calibration.window_tokens", width);
  writer.set_string("weir.calibration.vocabulary", w.vocabulary);
  bytes = *writer.to_bytes();
  return gguf::File::parse(bytes, "m.gguf");
}

TEST(Windows, StandInMetadata) {
  const TextWindows w = windows_of(text_of(1, 20'000), kVocabulary);
  gguf::Writer writer;
  write_windows(w, writer);
  const auto bytes = *writer.to_bytes();
  const auto back = read_windows(*gguf::File::parse(bytes));
  ASSERT_TRUE(back.ok() && *back) << back.error().message;
  EXPECT_EQ((*back)->hashes, w.hashes);
  EXPECT_EQ((*back)->threshold, w.threshold);
  EXPECT_EQ((*back)->vocabulary, w.vocabulary);
  const auto none = *gguf::Writer().to_bytes();
  EXPECT_EQ(*read_windows(*gguf::File::parse(none)), std::nullopt);
}

TEST(Windows, HostileMetadataIsNamed) {
  std::vector<std::byte> bytes;
  const auto error = [&](const TextWindows& w, uint32_t width = kWindowTokens) {
    const auto file = file_with(bytes, w, width);
    EXPECT_TRUE(file.ok());
    const auto read = read_windows(*file);
    return read.ok() ? std::string("read") : read.error().message;
  };
  EXPECT_EQ(error({kVocabulary, 10, {1, 2, 9}}), "read");
  EXPECT_THAT(error({kVocabulary, 10, {1, 2, 10}}), HasSubstr("below the threshold 10"));
  EXPECT_THAT(error({kVocabulary, 10, {2, 2}}), HasSubstr("window 1 is 2"));
  EXPECT_THAT(error({kVocabulary, TextWindows::kAll + 1, {}}), HasSubstr("threshold"));
  EXPECT_THAT(error({"abc", 10, {}}), HasSubstr("hexadecimal"));
  EXPECT_THAT(error({std::string(32, 'g'), 10, {}}), HasSubstr("hexadecimal"));
  EXPECT_THAT(error({kVocabulary, 10, {1}}, 16), HasSubstr("16 tokens"));
  EXPECT_THAT(error({kVocabulary, TextWindows::kAll, std::vector<uint64_t>(kMaxHashes + 1)}),
              HasSubstr("the most is 8000"));
  EXPECT_THAT(error({kVocabulary, TextWindows::kAll, {~uint64_t{0}}}), HasSubstr("m.gguf"));
  gguf::Writer text;
  text.set_string("weir.calibration.windows", "no list");
  const auto other = *text.to_bytes();
  EXPECT_THAT(read_windows(*gguf::File::parse(other, "m.gguf")).error().message,
              HasSubstr("weir.calibration.window"));
}

TEST(Windows, AFileCutAnywhereIsNamed) {
  std::vector<std::byte> bytes;
  ASSERT_TRUE(file_with(bytes, windows_of(text_of(1, 50), kVocabulary)).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    const auto file = gguf::File::parse(cut, "m.gguf");
    ASSERT_FALSE(file.ok()) << size;
    EXPECT_THAT(file.error().message, HasSubstr("m.gguf"));
  }
}

TEST(Windows, StandInJson) {
  for (const size_t tokens : {size_t{100}, size_t{20'000}}) {
    const TextWindows w = windows_of(text_of(3, tokens), kVocabulary);
    const auto back = parse_windows(*Json::parse(windows_json(w).dump()));
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->hashes, w.hashes);
    EXPECT_EQ(back->threshold, w.threshold);
  }
  const std::string good =
      R"({"window_tokens":32,"vocabulary":")" + kVocabulary + R"(","threshold":9,"hashes":[1,2]})";
  ASSERT_TRUE(parse_windows(*Json::parse(good)).ok());
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"32", "16"},
                                                        {"32", "-1"},
                                                        {"32", "\"x\""},
                                                        {":9", ":-9"},
                                                        {":9", ":2"},
                                                        {"[1,2]", "[2,1]"},
                                                        {"[1,2]", "[-1]"},
                                                        {"[1,2]", "[1.5]"},
                                                        {"[1,2]", "3"},
                                                        {"aaaa", "zzzz"},
                                                        {"hashes", "h"},
                                                        {"vocabulary", "v"},
                                                        {"window_tokens", "w"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_FALSE(parse_windows(*Json::parse(bad)).ok()) << bad;
  }
  EXPECT_FALSE(parse_windows(Json(int64_t{1})).ok());
}

TEST(Overlap, AboveTheBoundIsRefusedUnlessAllowed) {
  const auto calibration = text_of(1, 5'000);
  std::vector<std::byte> bytes;
  const auto file = *file_with(bytes, windows_of(calibration, kVocabulary));
  const auto other = text_of(2, 10'000);
  EXPECT_EQ(**check_overlap(file, kVocabulary, other, false), 0.0);
  // 0.8 % and 1.2 % of the windows.
  for (const size_t copied : {size_t{111}, size_t{151}}) {
    const auto text = join(other, {calibration.begin() + 40,
                                   calibration.begin() + 40 + static_cast<ptrdiff_t>(copied)});
    EXPECT_EQ(check_overlap(file, kVocabulary, text, false).ok(), copied == 111) << copied;
    EXPECT_NEAR(**check_overlap(file, kVocabulary, text, true),
                static_cast<double>(copied - kWindowTokens + 1) / 10'000, 0.0002);
  }
  const auto refused = check_overlap(file, kVocabulary, calibration, false);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidValue);
  EXPECT_THAT(refused.error().message,
              ::testing::AllOf(HasSubstr("m.gguf"), HasSubstr("100.0 %"),
                               HasSubstr("more than 1 %"), HasSubstr("--allow-overlap")));
  EXPECT_EQ(*check_overlap(file, std::string(32, 'b'), calibration, false), std::nullopt);
}

TEST(Overlap, OfAResultIsAShare) {
  EvalRun run;
  EXPECT_EQ(*recorded_overlap(run), std::nullopt);
  run.params.set("calibration_overlap", 0.25);
  EXPECT_EQ(**recorded_overlap(run), 0.25);
  for (const Json& bad : {Json(1.5), Json(-0.1), Json("x")}) {
    run.params.set("calibration_overlap", bad);
    EXPECT_EQ(recorded_overlap(run).error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace weir::ops
