#include "text/json.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "text/tokenizer_testing.h"

namespace weir::text {
namespace {

std::string round_trip(std::string_view text) {
  const auto v = Json::parse(text);
  return v.ok() ? v->dump() : "error: " + v.error().message;
}

TEST(Json, KeepsOrderAndTypes) {
  EXPECT_EQ(round_trip(R"( {"b" : [1, 2.50, -0, true, null], "a":"x\u00e9\ud83d\ude00\n"} )"),
            "{\"b\":[1,2.5,0,true,null],\"a\":\"xé😀\\n\"}");
  EXPECT_EQ(round_trip("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(round_trip("9223372036854775808"), "9.223372036854776e+18");
}

TEST(Json, PrintsDoublesAsPythonDoes) {
  EXPECT_EQ(json_number(1.0), "1.0");
  EXPECT_EQ(json_number(-0.0), "-0.0");
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(1e16), "1e+16");
  EXPECT_EQ(json_number(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(json_number(1e-5), "1e-05");
  EXPECT_EQ(json_number(0.0001), "0.0001");
}

TEST(Json, DumpsWithPythonsSeparatorsAndIndent) {
  const Json v = *Json::parse(R"({"b":[1,{}],"a":"é"})");
  EXPECT_EQ(v.dump({.item = ", ", .key = ": "}), "{\"b\": [1, {}], \"a\": \"é\"}");
  EXPECT_EQ(v.dump({.indent = 2, .key = ": ", .ensure_ascii = true, .sort_keys = true}),
            "{\n  \"a\": \"\\u00e9\",\n  \"b\": [\n    1,\n    {}\n  ]\n}");
}

TEST(Json, HalfASurrogatePairIsReplacedWhereThatIsAskedFor) {
  const auto read = [](std::string_view text) {
    const auto parsed = Json::parse(text, {.replace_lone_surrogates = true});
    return parsed.ok() ? parsed->dump() : parsed.error().message;
  };
  EXPECT_EQ(read(R"(["a\ud83dz"])"), "[\"a\uFFFDz\"]");
  EXPECT_EQ(read(R"(["\ude00"])"), "[\"\uFFFD\"]");
  EXPECT_EQ(read(R"(["\ud83d\ud83d\ude00"])"), "[\"\uFFFD\U0001F600\"]");
  EXPECT_EQ(read(R"(["\ud83d\n"])"), "[\"\uFFFD\\n\"]");
  EXPECT_FALSE(Json::parse(R"(["\ud83d\u00e9"])").ok());
}

TEST(Json, ErrorsNameTheOffset) {
  const auto message = [](std::string_view text) { return Json::parse(text).error().message; };
  EXPECT_NE(message("[1,]").find("offset 3"), std::string::npos);
  EXPECT_NE(message(R"({"a":1,"a":2})").find("twice"), std::string::npos);
  EXPECT_NE(message("[\"\\ud800\"]").find("surrogate"), std::string::npos);
  EXPECT_NE(message("[\"\xFF\"]").find("UTF-8"), std::string::npos);
  EXPECT_NE(message(std::string(65, '[') + std::string(65, ']')).find("64 levels"),
            std::string::npos);
  EXPECT_TRUE(Json::parse(std::string(64, '[') + std::string(64, ']')).ok());
}

TEST(Json, TheNumberOfValuesIsBounded) {
  EXPECT_TRUE(Json::parse("[1,{\"a\":[]}]", {.max_values = 4}).ok());
  const auto more = Json::parse("[1,{\"a\":[2]}]", {.max_values = 4});
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().message, "the JSON holds more than 4 values at offset 9");
}

TEST(Json, EveryCutOfADocumentIsAnError) {
  const std::string text = R"({"a":[1,2.5e3,"x\u00e9"],"b":{"c":true}})";
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(Json::parse(text.substr(0, n)).ok()) << n;
}

TEST(Json, ConformsToTheParsingSuite) {
  const std::string folder = testing::shared_path("json/test_parsing");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  int accepted = 0, rejected = 0, either = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool ok = Json::parse(testing::read_bytes(entry.path().string())).ok();
    // Stricter than the suite on purpose: duplicate keys, which it lists as allowed.
    if (name.starts_with("y_object_duplicated_key")) {
      EXPECT_FALSE(ok) << name;
    } else if (name.starts_with("y_")) {
      EXPECT_TRUE(ok) << name;
      ++accepted;
    } else if (name.starts_with("n_")) {
      EXPECT_FALSE(ok) << name;
      ++rejected;
    } else {
      ++either;
    }
  }
  std::printf("%d accepted, %d rejected, %d either\n", accepted, rejected, either);
  EXPECT_EQ(rejected, 188);
}

}  // namespace
}  // namespace weir::text
