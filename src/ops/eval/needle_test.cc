#include "ops/eval/needle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

size_t words(std::string_view text) {
  std::istringstream in{std::string(text)};
  size_t count = 0;
  for (std::string word; in >> word;) ++count;
  return count;
}

// Sentences of five words.
std::string haystack(int sentences) {
  std::string out;
  for (int i = 0; i < sentences; ++i) out += fmt::format("The cat number {} slept. ", i);
  return out;
}

RetrievalSpec spec() {
  RetrievalSpec s;
  s.lengths = {100, 400};
  s.depths = {0, 0.25, 0.5, 1};
  return s;
}

TEST(NeedleTest, AnItemForEachLengthAndDepth) {
  const auto items = needle_items(spec(), haystack(300), words);
  ASSERT_TRUE(items.ok()) << items.error().message;
  ASSERT_EQ(items->size(), 8U);
  std::set<std::string> answers;
  for (size_t i = 0; i < items->size(); ++i) {
    const GenerateItem& item = (*items)[i];
    const size_t length = i < 4 ? 100 : 400;
    const double depth = spec().depths[i % 4];
    EXPECT_EQ(item.id, fmt::format("{}@{}", length, depth));
    EXPECT_LE(words(item.prompt), length);
    EXPECT_GE(words(item.prompt) + 6, length);
    const std::string& number = item.expected.as_string();
    EXPECT_EQ(number.size(), 7U);
    answers.insert(number);
    const size_t at = item.prompt.find("The secret number of the lighthouse is " + number + ". ");
    ASSERT_NE(at, std::string::npos) << item.prompt;
    // Between sentences, as deep as was asked.
    EXPECT_TRUE(at == 0 || item.prompt.substr(at - 2, 2) == ". ");
    const auto before = static_cast<double>(words(item.prompt.substr(0, at)));
    EXPECT_NEAR(before / static_cast<double>(length - 19), depth, 0.08) << item.id;
    EXPECT_THAT(item.prompt, HasSubstr("\n\nWhat is the secret number"));
  }
  EXPECT_EQ(answers.size(), 8U);
}

TEST(NeedleTest, TheSameItemsEachTime) {
  const auto a = needle_items(spec(), haystack(300), words);
  const auto b = needle_items(spec(), haystack(300), words);
  ASSERT_TRUE(a.ok() && b.ok());
  for (size_t i = 0; i < a->size(); ++i) EXPECT_EQ((*a)[i].prompt, (*b)[i].prompt);
}

TEST(NeedleTest, WhatDoesNotFitIsSaid) {
  auto items = needle_items(spec(), haystack(30), words);
  ASSERT_FALSE(items.ok());
  EXPECT_THAT(items.error().message, HasSubstr("the haystack has fewer than the 400 tokens"));
  RetrievalSpec small = spec();
  small.lengths = {10};
  items = needle_items(small, haystack(30), words);
  ASSERT_FALSE(items.ok());
  EXPECT_THAT(items.error().message, HasSubstr("needle and question have more than the 10"));
}

TEST(NeedleTest, ATextWithoutBlanksIsCutAnywhere) {
  RetrievalSpec s = spec();
  s.lengths = {200};
  const auto letters = [](std::string_view text) { return text.size(); };
  const auto items = needle_items(s, std::string(5000, 'x'), letters);
  ASSERT_TRUE(items.ok()) << items.error().message;
  for (const GenerateItem& item : *items) EXPECT_LE(item.prompt.size(), 200U);
}

TEST(NeedleTest, TheAnswerMustBeInTheWords) {
  GenerateItem item;
  item.expected = text::Json("1234567");
  EXPECT_EQ(score_needle(item, "It is 1234567.").front().second, 1);
  EXPECT_EQ(score_needle(item, "It is 123456.").front().second, 0);
}

}  // namespace
}  // namespace weir::ops
