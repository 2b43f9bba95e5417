// What bad input gets: a message that says where and what to do, never a crash, never a large
// allocation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf/file.h"
#include "gguf/test_bytes.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gguf {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Error error_of(std::span<const std::byte> bytes) {
  const ExactCopy copy(bytes);
  const auto file = File::parse(copy.bytes(), "m.gguf");
  EXPECT_FALSE(file.ok());
  return file.ok() ? Error{} : file.error();
}
std::string message_of(const RawBytes& raw) { return error_of(raw.bytes()).message; }
std::string message_of_text(std::string_view text) { return message_of(RawBytes().text(text)); }

std::string at(size_t offset) { return fmt::format("at byte {}", offset); }

TEST(NotAModel, IsRecognised) {
  EXPECT_THAT(message_of_text(""),
              AllOf(HasSubstr("m.gguf is empty"), HasSubstr("download it again")));
  EXPECT_THAT(message_of_text("Hello, world\n"), HasSubstr("text file"));
  EXPECT_THAT(message_of_text("version https://git-lfs.github.com/spec/v1\n"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(message_of_text("<!DOCTYPE html><html>"), HasSubstr("web page"));
  EXPECT_THAT(message_of_text("PK\x03\x04rest of it"), HasSubstr("zip"));
  EXPECT_THAT(message_of_text("tjgg\x01 old file"), HasSubstr("before GGUF"));
  EXPECT_THAT(message_of(RawBytes().put<uint64_t>(100).text("{\"a\":{}}")),
              HasSubstr("safetensors"));
  EXPECT_THAT(message_of(RawBytes().put<uint64_t>(0x8877665544332211)),
              HasSubstr("not a GGUF file"));
  EXPECT_THAT(message_of_text("GG"), HasSubstr("cut short"));
  EXPECT_THAT(message_of_text("GGUF\x03"), HasSubstr("cut short"));
}

TEST(NotAModel, OtherVersionsAndByteOrdersAreNamed) {
  const Error big = error_of(RawBytes().text("GGUF").put<uint32_t>(0x03000000).zeros(40).bytes());
  EXPECT_EQ(big.code, ErrorCode::kUnsupported);
  EXPECT_THAT(big.message, HasSubstr("big-endian"));
  EXPECT_THAT(message_of(RawBytes().header(0, 0, 1)),
              AllOf(HasSubstr("version 1"), HasSubstr("convert")));
  EXPECT_THAT(message_of(RawBytes().header(0, 0, 4)),
              AllOf(HasSubstr("version 4"), HasSubstr("update weir")));
  EXPECT_THAT(message_of(RawBytes().header(0, 0, 0)), HasSubstr("version 0"));
}

TEST(NotAModel, OpenNamesPathAndReason) {
  const os::TempDir dir;
  EXPECT_EQ(File::open(dir.file("none.gguf")).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(File::open(dir.path()).error().message,
              AllOf(HasSubstr(dir.path()), HasSubstr("a directory")));
  ASSERT_TRUE(os::write_file_atomic(dir.file("e"), "").ok());
  EXPECT_THAT(File::open(dir.file("e")).error().message,
              AllOf(HasSubstr(dir.file("e")), HasSubstr("empty")));
}

TEST(Counts, AreHeldAgainstTheFile) {
  const Error keys = error_of(RawBytes().header(0, 60'000).bytes());
  EXPECT_EQ(keys.code, ErrorCode::kCorrupt);
  EXPECT_THAT(keys.message, AllOf(HasSubstr("24 bytes long"), HasSubstr("60000 metadata"),
                                  HasSubstr("cut short")));
  EXPECT_THAT(message_of(RawBytes().header(200'000, 0)), HasSubstr("200000 tensor"));
  const Error limit = error_of(RawBytes().header(0, uint64_t{1} << 60).bytes());
  EXPECT_EQ(limit.code, ErrorCode::kLimit);
  EXPECT_THAT(limit.message,
              AllOf(HasSubstr("metadata count"), HasSubstr("65536"), HasSubstr(at(16))));
  EXPECT_THAT(message_of(RawBytes().header(~uint64_t{0}, 0)),
              AllOf(HasSubstr("tensor count"), HasSubstr(at(8))));
}

TEST(Strings, AreHeldAgainstTheFileAndTheirBounds) {
  RawBytes raw;
  raw.header(0, 1).put<uint64_t>(1 << 20).zeros(100);
  EXPECT_THAT(message_of(raw),
              AllOf(HasSubstr("metadata key 0"), HasSubstr("1048576"), HasSubstr("65535")));
  EXPECT_THAT(message_of(RawBytes().header(0, 1).put<uint64_t>(5'000).zeros(100)),
              AllOf(HasSubstr("metadata key 0"), HasSubstr(at(32)), HasSubstr("needs 5000 bytes")));
  EXPECT_THAT(
      message_of(RawBytes().header(0, 1).key("k", ValueType::kString).put(~uint64_t{0}).zeros(9)),
      AllOf(HasSubstr("'k'"), HasSubstr("more than")));
  EXPECT_THAT(
      message_of(RawBytes().header(0, 1).key("k", ValueType::kString).put<uint64_t>(10).zeros(9)),
      AllOf(HasSubstr("'k'"), HasSubstr("cut short")));
}

TEST(Keys, MustBePrintableUniqueAndNotEmpty) {
  EXPECT_THAT(
      message_of(RawBytes().header(0, 1).key("", ValueType::kUint8).put<uint8_t>(0).zeros(9)),
      HasSubstr("key 0 is empty"));
  EXPECT_THAT(
      message_of(RawBytes().header(0, 1).key("a\x1b\xffz", ValueType::kUint8).put<uint8_t>(0)),
      AllOf(HasSubstr("'a??z'"), HasSubstr("printable")));
  RawBytes twice;
  twice.header(0, 3).key("k", ValueType::kUint8).put<uint8_t>(0);
  twice.key("j", ValueType::kUint8).put<uint8_t>(0).key("k", ValueType::kUint8);
  const size_t second = twice.size() - 4 - 1;
  twice.put<uint8_t>(0);
  EXPECT_THAT(message_of(twice), AllOf(HasSubstr("'k' stands twice"), HasSubstr(at(second))));
}

TEST(Values, OfUnknownTypeOrFormAreErrors) {
  EXPECT_THAT(message_of(RawBytes().header(0, 1).key("k", static_cast<ValueType>(13)).zeros(9)),
              AllOf(HasSubstr("'k'"), HasSubstr("unknown type 13"), HasSubstr(at(33))));
  EXPECT_THAT(message_of(RawBytes().header(0, 1).key("k", ValueType::kBool).put<uint8_t>(2)),
              AllOf(HasSubstr("'k'"), HasSubstr("neither 0 nor 1")));
  EXPECT_THAT(message_of(RawBytes().header(0, 1).key("k", ValueType::kUint64).put<uint32_t>(2)),
              AllOf(HasSubstr("'k'"), HasSubstr("cut short")));
}

RawBytes array(uint32_t type, uint64_t count) {
  return RawBytes().header(0, 1).key("k", ValueType::kArray).put(type).put(count);
}

TEST(Arrays, AreHeldAgainstTheFileAndTheirBounds) {
  EXPECT_THAT(message_of(array(9, 1).zeros(12)),
              AllOf(HasSubstr("'k'"), HasSubstr("array of arrays")));
  EXPECT_THAT(message_of(array(99, 1).zeros(12)),
              AllOf(HasSubstr("'k'"), HasSubstr("unknown type 99")));
  EXPECT_THAT(message_of(array(10, 1'000'000).zeros(12)),
              AllOf(HasSubstr("'k'"), HasSubstr("8000000 bytes")));
  EXPECT_THAT(message_of(array(8, 1'000'000).zeros(12)),
              AllOf(HasSubstr("'k'"), HasSubstr("cut short")));
  const Error limit = error_of(array(0, ~uint64_t{0}).zeros(12).bytes());
  EXPECT_EQ(limit.code, ErrorCode::kLimit);
  EXPECT_THAT(limit.message, AllOf(HasSubstr("'k'"), HasSubstr("16777216")));
  EXPECT_THAT(message_of(array(7, 2).put<uint8_t>(1).put<uint8_t>(7)),
              HasSubstr("neither 0 nor 1"));
}

TEST(Alignment, MustBeASensiblePowerOfTwo) {
  for (const uint32_t bad : {0U, 1U, 4U, 24U, 1U << 20, 0x80000000U}) {
    RawBytes raw;
    raw.header(0, 1).key("general.alignment", ValueType::kUint32).put(bad);
    EXPECT_THAT(message_of(raw),
                AllOf(HasSubstr("general.alignment"), HasSubstr(fmt::format("{}", bad))));
  }
  EXPECT_THAT(
      message_of(RawBytes().header(0, 1).key("general.alignment", ValueType::kString).string("32")),
      HasSubstr("general.alignment"));
}

// A file with these tensor descriptions and `data` zero bytes behind them.
std::string tensors(
    const std::vector<std::tuple<std::string, std::vector<uint64_t>, uint32_t, uint64_t>>& list,
    size_t data) {
  RawBytes raw;
  raw.header(list.size(), 0);
  for (const auto& [name, shape, type, offset] : list)
    raw.tensor(name, shape, static_cast<TensorType>(type), offset);
  raw.align().zeros(data);
  const ExactCopy copy(raw.bytes());
  const auto file = File::parse(copy.bytes(), "m.gguf");
  return file.ok() ? (touch(*file) > 0 ? "ok" : "lost") : file.error().message;
}

TEST(Tensors, GoodOnesPass) {
  EXPECT_EQ(tensors({{"a", {8}, 0, 0}, {"b", {32, 2}, 2, 32}, {"c", {}, 0, 96}}, 100), "ok");
  EXPECT_EQ(tensors({{"b", {8}, 0, 32}, {"a", {8}, 0, 0}}, 64), "ok");  // any order
  EXPECT_EQ(tensors({{"iq", {256}, 16, 0}}, 66), "ok");  // known, though nobody decodes it yet
}

TEST(Tensors, WithBadShapesOrTypesAreErrors) {
  EXPECT_THAT(tensors({{"a", {1, 1, 1, 1, 1}, 0, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("is 5"), HasSubstr("4")));
  EXPECT_THAT(tensors({{"a", {8, 0}, 0, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("dimension of 0"), HasSubstr(at(24))));
  EXPECT_THAT(tensors({{"a", {33}, 2, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("33"), HasSubstr("Q4_0")));
  EXPECT_THAT(tensors({{"a", {32}, 4, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("unknown type 4"), HasSubstr("Q4_K")));
  EXPECT_THAT(tensors({{"", {32}, 0, 0}}, 64), HasSubstr("name of tensor 0 is empty"));
  EXPECT_THAT(tensors({{std::string(256, 'a'), {32}, 0, 0}}, 64), HasSubstr("255"));
  EXPECT_THAT(tensors({{"a", {8}, 0, 0}, {"b", {8}, 0, 32}, {"a", {8}, 0, 64}}, 96),
              AllOf(HasSubstr("'a' stands twice"), HasSubstr("0 and 2")));
}

TEST(Tensors, WhoseSizeOverflowsAreErrors) {
  const uint64_t big = uint64_t{1} << 32;
  EXPECT_THAT(tensors({{"a", {big, big}, 0, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("64 bits")));
  EXPECT_THAT(tensors({{"a", {big, big >> 2}, 0, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("64 bits")));
  EXPECT_THAT(tensors({{"a", {big, 1 << 29}, 0, 0}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("cut short or damaged")));
  EXPECT_THAT(tensors({{"a", {8}, 0, ~uint64_t{31}}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("more than 2^64")));
}

TEST(Tensors, OutsideTheFileMisplacedOrOverlappingAreErrors) {
  EXPECT_THAT(tensors({{"a", {8}, 0, 0}}, 31),
              AllOf(HasSubstr("is 95 bytes long"), HasSubstr("'a' ends at byte 96"),
                    HasSubstr("download it again")));
  EXPECT_THAT(tensors({{"a", {8}, 0, 32}}, 32), HasSubstr("'a' ends at byte 128"));
  EXPECT_THAT(tensors({{"a", {8}, 0, 0}}, 0), HasSubstr("'a' ends at byte 96"));
  EXPECT_THAT(tensors({{"a", {8}, 0, 16}}, 64),
              AllOf(HasSubstr("'a'"), HasSubstr("16"), HasSubstr("alignment 32")));
  EXPECT_THAT(tensors({{"a", {9}, 0, 0}, {"b", {8}, 0, 32}}, 64),
              AllOf(HasSubstr("'a' and 'b' overlap"), HasSubstr("damaged")));
  EXPECT_THAT(tensors({{"a", {8}, 0, 0}, {"b", {8}, 0, 0}}, 64), HasSubstr("overlap"));
}

}  // namespace
}  // namespace weir::gguf
