#include "gguf/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "gguf/file.h"
#include "gguf/test_bytes.h"
#include "gguf/writer.h"
#include "os/temp_dir.h"

namespace weir::gguf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SplitName, IsParsed) {
  const auto name = parse_split_name("/m/big-model-00002-of-00011.gguf");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->prefix, "/m/big-model");
  EXPECT_EQ(name->number, 2U);
  EXPECT_EQ(name->count, 11U);
  EXPECT_EQ(name->part(1), "/m/big-model-00001-of-00011.gguf");
  for (const char* bad :
       {"", "model.gguf", "-00001-of-00002.gguf", "m-0001-of-00002.gguf", "m-00001-of-0x002.gguf",
        "m-00001-of-00002.bin", "m-00001_of-00002.gguf", "m-+0001-of-00002.gguf"}) {
    EXPECT_FALSE(parse_split_name(bad).has_value()) << bad;
  }
}

SplitSizes sizes(size_t tensors, uint64_t bytes) {
  SplitSizes s{1'000, 100, {}};
  s.tensors.assign(tensors, {50, bytes});
  return s;
}

TEST(Divide, PartsStayWithinTheBounds) {
  using Counts = std::vector<size_t>;
  EXPECT_EQ(*divide(sizes(5, 400), {}), (Counts{5}));
  EXPECT_EQ(*divide(sizes(5, 400), {.max_tensors = 2}), (Counts{2, 2, 1}));
  // 1000 + 450 fit 1450; 100 + 3 × 450 do, too.
  EXPECT_EQ(*divide(sizes(5, 400), {.max_bytes = 1'450}), (Counts{1, 3, 1}));
  EXPECT_EQ(*divide(sizes(5, 400), {.max_bytes = 1'449}), (Counts{1, 2, 2}));
  EXPECT_EQ(*divide(sizes(3, 400), {.max_bytes = 1'450, .max_tensors = 1}), (Counts{1, 1, 1}));
  EXPECT_EQ(*divide(sizes(3, 9'000), {.max_bytes = 10}), (Counts{1, 1, 1}));
  EXPECT_EQ(*divide(sizes(0, 0), {.max_bytes = 10}), (Counts{0}));
  EXPECT_EQ(divide(sizes(kMaxParts, 1), {.max_tensors = 1})->size(), kMaxParts);
  EXPECT_THAT(divide(sizes(kMaxParts + 1, 1), {.max_tensors = 1}).error().message,
              HasSubstr("1025 parts"));
}

class Split : public ::testing::Test {
 protected:
  static constexpr int kParts = 3;

  std::string name(int number, int count = kParts) const {
    return dir_.file(fmt::format("m-{:05}-of-{:05}.gguf", number, count));
  }

  // Part `number` (from 1) with one tensor of four values, all equal to the number.
  void write(int number, int says_number, int says_count, const std::string& tensor,
             int says_tensors = kParts) {
    const auto no = static_cast<uint16_t>(says_number - 1);
    const auto count = static_cast<uint16_t>(says_count);
    Writer w;
    if (number == 1) w.set_string("general.architecture", "llama");
    w.set("split.no",
          {ValueType::kUint16, ValueType::kUint16, 1, std::as_bytes(std::span(&no, 1))});
    w.set("split.count",
          {ValueType::kUint16, ValueType::kUint16, 1, std::as_bytes(std::span(&count, 1))});
    w.set_int("split.tensors.count", says_tensors);
    const std::vector<float> data(4, static_cast<float>(number));
    const uint64_t shape[] = {4};
    w.add_tensor(tensor, TensorType::kF32, shape, std::as_bytes(std::span(data)));
    ASSERT_TRUE(w.write_file(name(number)).ok());
  }
  void write_all() {
    for (int n = 1; n <= kParts; ++n) write(n, n, kParts, fmt::format("t{}", n));
  }
  std::string open_error(const std::string& path) {
    const auto file = File::open(path);
    return file.ok() ? "opened" : file.error().message;
  }
  os::TempDir dir_;
};

TEST_F(Split, OpensAllParts) {
  write_all();
  auto opened = File::open(name(1));
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const File file = std::move(opened).value();
  EXPECT_EQ(file.parts(), 3U);
  EXPECT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(*file.get_string("general.architecture"), "llama");
  for (int n = 1; n <= kParts; ++n) {
    const Tensor* t = file.find_tensor(fmt::format("t{}", n));
    ASSERT_NE(t, nullptr);
    float value = 0;
    std::memcpy(&value, t->data.data(), sizeof value);
    EXPECT_EQ(value, static_cast<float>(n));
  }
  EXPECT_GT(file.total_bytes(), std::filesystem::file_size(name(1)) * 2);
  EXPECT_GT(touch(file), 0U);
}

TEST_F(Split, NamesTheMissingPart) {
  write_all();
  std::filesystem::remove(name(2));
  EXPECT_THAT(open_error(name(1)),
              AllOf(HasSubstr(name(2)), HasSubstr("part 2 of 3"), HasSubstr("missing")));
}

TEST_F(Split, NamesTheCutPart) {
  write_all();
  std::filesystem::resize_file(name(3), 40);
  EXPECT_THAT(open_error(name(1)), AllOf(HasSubstr(name(3)), HasSubstr("cut short")));
}

TEST_F(Split, AnotherPartPointsToTheFirst) {
  write_all();
  EXPECT_THAT(open_error(name(2)), HasSubstr("open the first part, " + name(1)));
}

TEST_F(Split, ARenamedFileIsAnError) {
  write_all();
  std::filesystem::rename(name(1), dir_.file("m.gguf"));
  EXPECT_THAT(open_error(dir_.file("m.gguf")),
              AllOf(HasSubstr("part 1 of 3"), HasSubstr("-00001-of-00003.gguf")));
}

TEST_F(Split, PartsOfDifferentModelsAreAnError) {
  write_all();
  write(2, 3, kParts, "t2");
  EXPECT_THAT(open_error(name(1)), AllOf(HasSubstr(name(2)), HasSubstr("part 3 of 3")));
  write(2, 2, 4, "t2");
  EXPECT_THAT(open_error(name(1)), AllOf(HasSubstr(name(2)), HasSubstr("part 2 of 4")));
}

TEST_F(Split, ATensorInTwoPartsIsAnError) {
  write_all();
  write(3, 3, kParts, "t2");
  EXPECT_THAT(open_error(name(1)), AllOf(HasSubstr("'t2'"), HasSubstr("twice")));
}

TEST_F(Split, TensorsMissingInTheSumAreAnError) {
  write_all();
  write(1, 1, kParts, "t1", 4);
  EXPECT_THAT(open_error(name(1)), AllOf(HasSubstr("4 tensors"), HasSubstr("hold 3")));
}

TEST_F(Split, TooManyPartsAreAnError) {
  write(1, 1, 60'000, "t1");
  EXPECT_THAT(open_error(name(1)), HasSubstr("more than the 1024"));
}

}  // namespace
}  // namespace weir::gguf
