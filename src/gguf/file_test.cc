#include "gguf/file.h"
#include "base/paths_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>

#include "gguf/test_bytes.h"
#include "gguf/writer.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::gguf {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<float> kData = {0.5f, -1.0f, 2.0f, 3.0f, 4.0f, 5.0f};

std::span<const std::byte> as_bytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

// One of each kind of value, two tensors.
Writer sample() {
  Writer w;
  w.set_string("general.architecture", "llama");
  w.set_uint("u32", 4'000'000'000U);
  w.set_uint64("u64", std::numeric_limits<uint64_t>::max());
  w.set_int("i32", -5);
  w.set_int64("i64", std::numeric_limits<int64_t>::min());
  w.set_float("f32", 1e-5f);
  w.set_bool("yes", true);
  w.set_bool("no", false);
  w.set_string("empty", "");
  w.set_strings("words", std::vector<std::string>{"a", "", "grün"});
  w.set_strings("none", std::vector<std::string>{});
  w.set_ints("ints", std::vector<int32_t>{-1, 0, 7});
  w.set_uints("uints", std::vector<uint32_t>{1, 4'000'000'000U});
  w.set_floats("floats", std::vector<float>{0.25f, -8.0f});
  const uint64_t shape[] = {3, 2};
  w.add_tensor("a.weight", TensorType::kF32, shape, as_bytes(kData));
  const uint64_t one[] = {1};
  w.add_tensor("b", TensorType::kF32, one, as_bytes(kData).first(4));
  return w;
}

TEST(File, AStreamOfTensorsWritesTheSameBytes) {
  const os::TempDir folder;
  const Writer whole = sample();
  ASSERT_TRUE(whole.write_file(folder.file("whole")).ok());
  Writer w;
  w.set_string("name", "x");
  const uint64_t shape[] = {3, 2};
  const uint64_t one[] = {1};
  Writer same;
  same.set_string("name", "x");
  w.declare_tensor("a.weight", TensorType::kF32, shape);
  w.declare_tensor("b", TensorType::kF32, one);
  same.add_tensor("a.weight", TensorType::kF32, shape, as_bytes(kData));
  same.add_tensor("b", TensorType::kF32, one, as_bytes(kData).first(4));
  const std::string path = folder.file("streamed");
  {
    auto stream = w.begin_file(path);
    ASSERT_TRUE(stream.ok()) << stream.error().message;
    ASSERT_TRUE(stream->write(as_bytes(kData).first(8)).ok());
    EXPECT_EQ(stream->write(as_bytes(kData)).error().code, ErrorCode::kInternal);  // 8 too many
    ASSERT_TRUE(stream->write(as_bytes(kData).subspan(8)).ok());
    EXPECT_EQ(stream->commit().error().code, ErrorCode::kInternal);  // b is missing
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE(stream->write(as_bytes(kData).first(4)).ok());
    EXPECT_EQ(stream->write(as_bytes(kData).first(4)).error().code, ErrorCode::kInternal);
    ASSERT_TRUE(stream->commit().ok());
  }
  ASSERT_TRUE(same.write_file(folder.file("same")).ok());
  const auto streamed = os::read_file(path, 1 << 20);
  EXPECT_EQ(*streamed, *os::read_file(folder.file("same"), 1 << 20));
  EXPECT_EQ(streamed->size(), w.file_bytes());
  // Data that was only declared cannot be written at once.
  EXPECT_EQ(w.to_bytes().error().code, ErrorCode::kInternal);
  // Given up: nothing stands there, not even the temporary file.
  { ASSERT_TRUE(w.begin_file(folder.file("never")).ok()); }
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path()))
    ++files;
  EXPECT_EQ(files, 3U);
}

TEST(File, ReadsWhatTheWriterWrote) {
  const auto bytes = sample().to_bytes();
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  const auto file = File::parse(*bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->version(), 3U);
  EXPECT_EQ(file->alignment(), 32U);
  EXPECT_EQ(file->total_bytes(), bytes->size());
  EXPECT_EQ(*file->get_string("general.architecture"), "llama");
  EXPECT_EQ(*file->get_uint("u32"), 4'000'000'000U);
  EXPECT_EQ(*file->get_uint("u64"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*file->get_int("i32"), -5);
  EXPECT_EQ(*file->get_int("i64"), std::numeric_limits<int64_t>::min());
  EXPECT_FLOAT_EQ(static_cast<float>(*file->get_float("f32")), 1e-5f);
  EXPECT_EQ(*file->get_float("i32"), -5.0);
  EXPECT_TRUE(*file->get_bool("yes"));
  EXPECT_FALSE(*file->get_bool("no"));
  EXPECT_EQ(*file->get_string("empty"), "");
  EXPECT_THAT(*file->get_strings("words"), ElementsAre("a", "", "grün"));
  EXPECT_TRUE(file->get_strings("none")->empty());
  EXPECT_THAT(*file->get_ints("ints"), ElementsAre(-1, 0, 7));
  EXPECT_THAT(*file->get_ints("uints"), ElementsAre(1, 4'000'000'000));
  EXPECT_THAT(*file->get_floats("floats"), ElementsAre(0.25f, -8.0f));
  EXPECT_THAT(*file->get_floats("ints"), ElementsAre(-1.0f, 0.0f, 7.0f));
  EXPECT_EQ(file->metadata().size(), 14U);
  EXPECT_EQ(file->metadata()[3].key, "i32");
}

TEST(File, GivesTensorsWithTheirBytes) {
  const auto bytes = sample().to_bytes();
  const auto file = File::parse(*bytes);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(file->tensors().size(), 2U);
  const Tensor* a = file->find_tensor("a.weight");
  ASSERT_NE(a, nullptr);
  EXPECT_THAT(a->shape, ElementsAre(3, 2));
  EXPECT_EQ(a->elements(), 6U);
  EXPECT_EQ(a->rows(), 2U);
  EXPECT_EQ(a->type, TensorType::kF32);
  ASSERT_EQ(a->data.size(), 24U);
  EXPECT_TRUE(std::equal(a->data.begin(), a->data.end(), as_bytes(kData).begin()));
  EXPECT_EQ((file->find_tensor("b")->data.data() - bytes->data()) % 32, 0);
  EXPECT_EQ(file->find_tensor("c"), nullptr);
  EXPECT_EQ(file->find("c"), nullptr);
}

TEST(File, GettersNameKeyFileAndType) {
  const auto bytes = sample().to_bytes();
  const auto file = File::parse(*bytes, "model.gguf");
  ASSERT_TRUE(file.ok());
  const auto missing = file->get_uint("llama.block_count");
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message,
              AllOf(HasSubstr("model.gguf"), HasSubstr("'llama.block_count'")));
  const auto wrong = file->get_uint("general.architecture");
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(wrong.error().message, AllOf(HasSubstr("model.gguf"), HasSubstr("string"),
                                           HasSubstr("llama"), HasSubstr("an integer")));
  EXPECT_FALSE(file->get_uint("i32").ok());
  EXPECT_FALSE(file->get_int("u64").ok());
  EXPECT_FALSE(file->get_bool("u32").ok());
  EXPECT_FALSE(file->get_string("words").ok());
  EXPECT_FALSE(file->get_strings("general.architecture").ok());
  EXPECT_THAT(file->get_strings("ints").error().message, HasSubstr("array of 3 int32"));
  EXPECT_FALSE(file->get_ints("floats").ok());
  EXPECT_FALSE(file->get_ints("u32").ok());
  EXPECT_FALSE(file->get_floats("words").ok());
}

TEST(File, DefaultsStandInForMissingKeysOnly) {
  const auto bytes = sample().to_bytes();
  const auto file = File::parse(*bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*file->uint_or("x", 7), 7U);
  EXPECT_EQ(*file->uint_or("u32", 7), 4'000'000'000U);
  EXPECT_EQ(*file->int_or("x", -7), -7);
  EXPECT_EQ(*file->float_or("x", 0.5), 0.5);
  EXPECT_EQ(*file->bool_or("x", true), true);
  EXPECT_EQ(*file->bool_or("no", true), false);
  EXPECT_EQ(*file->string_or("x", "d"), "d");
  EXPECT_FALSE(file->uint_or("words", 7).ok());
  EXPECT_FALSE(file->int_or("words", 7).ok());
  EXPECT_FALSE(file->float_or("words", 7).ok());
  EXPECT_FALSE(file->bool_or("words", true).ok());
  EXPECT_FALSE(file->string_or("u32", "d").ok());
}

TEST(File, ReadsEveryScalarTypeAndVersion2) {
  RawBytes raw;
  raw.header(0, 13, 2);
  raw.key("u8", ValueType::kUint8).put<uint8_t>(200).key("i8", ValueType::kInt8).put<int8_t>(-100);
  raw.key("u16", ValueType::kUint16)
      .put<uint16_t>(60'000)
      .key("i16", ValueType::kInt16)
      .put<int16_t>(-30'000);
  raw.key("u32", ValueType::kUint32)
      .put<uint32_t>(1)
      .key("i32", ValueType::kInt32)
      .put<int32_t>(-1);
  raw.key("u64", ValueType::kUint64)
      .put<uint64_t>(2)
      .key("i64", ValueType::kInt64)
      .put<int64_t>(-2);
  raw.key("f32", ValueType::kFloat32).put(1.5f).key("f64", ValueType::kFloat64).put(2.5);
  raw.key("bool", ValueType::kBool).put<uint8_t>(1).key("string", ValueType::kString).string("s");
  raw.key("array", ValueType::kArray).put(static_cast<uint32_t>(ValueType::kBool)).put<uint64_t>(2);
  raw.put<uint8_t>(1).put<uint8_t>(0);
  const auto file = File::parse(raw.bytes());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->version(), 2U);
  EXPECT_EQ(*file->get_uint("u8"), 200U);
  EXPECT_EQ(*file->get_int("i8"), -100);
  EXPECT_EQ(*file->get_uint("u16"), 60'000U);
  EXPECT_EQ(*file->get_int("i16"), -30'000);
  EXPECT_EQ(*file->get_uint("u32"), 1U);
  EXPECT_EQ(*file->get_int("i32"), -1);
  EXPECT_EQ(*file->get_uint("u64"), 2U);
  EXPECT_EQ(*file->get_int("i64"), -2);
  EXPECT_EQ(*file->get_float("f32"), 1.5);
  EXPECT_EQ(*file->get_float("f64"), 2.5);
  EXPECT_TRUE(*file->get_bool("bool"));
  EXPECT_EQ(*file->get_string("string"), "s");
  EXPECT_THAT(*file->get_ints("array"), ElementsAre(1, 0));
  EXPECT_EQ(file->find("f64")->to_text(), "2.5");
  EXPECT_EQ(file->find("array")->to_text(), "[true, false]");
}

TEST(Value, TextIsShortAndHarmless) {
  Writer w;
  w.set_string("s", "a\x1b[31m" + std::string(200, 'x'));
  w.set_string("u", std::string(79, 'x') + "ü");
  w.set_uints("a", std::vector<uint32_t>{1, 2, 3, 4, 5});
  const auto bytes = w.to_bytes();
  const auto file = File::parse(*bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->find("s")->to_text(4, 6), "a.[31m…");
  EXPECT_EQ(file->find("u")->to_text(), std::string(79, 'x') + "…");
  EXPECT_EQ(file->find("a")->to_text(2), "[1, 2, … 5 in all]");
  EXPECT_EQ(file->find("a")->type_text(), "array of 5 uint32");
}

TEST(TensorTypes, HaveNamesAndSizes) {
  EXPECT_EQ(type_info(TensorType::kQ4_K)->block_bytes, 144U);
  EXPECT_EQ(type_info(static_cast<TensorType>(4)), nullptr);
  EXPECT_EQ(type_name(static_cast<TensorType>(77)), "type 77");
  EXPECT_EQ(type_by_name("BF16"), TensorType::kBF16);
  EXPECT_EQ(type_by_name("bf17"), std::nullopt);
}

TEST(Writer, FileIsTheSameAsTheBytesAndCopiesValues) {
  const os::TempDir dir;
  const auto bytes = sample().to_bytes();
  ASSERT_TRUE(sample().write_file(dir.file("m.gguf")).ok());
  const auto file = File::open(dir.file("m.gguf"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  Writer copy;
  for (const Metadata& entry : file->metadata()) copy.set(entry.key, entry.value);
  for (const Tensor& t : file->tensors()) copy.add_tensor(t.name, t.type, t.shape, t.data);
  EXPECT_EQ(*copy.to_bytes(), *bytes);
  const auto text = os::read_file(dir.file("m.gguf"), 1 << 20);
  ASSERT_TRUE(text.ok());
  ASSERT_EQ(text->size(), bytes->size());
  EXPECT_EQ(std::memcmp(text->data(), bytes->data(), bytes->size()), 0);
  file->release("", File::Release::kReadLater);
  file->release("");
  EXPECT_GT(touch(*file), 0U);
}

TEST(Writer, AlignmentIsKept) {
  for (const uint32_t alignment : {8U, 64U, 4096U}) {
    Writer w = sample();
    w.set_uint("general.alignment", alignment);
    const auto bytes = w.to_bytes();
    const auto file = File::parse(*bytes);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->alignment(), alignment);
    for (const Tensor& t : file->tensors())
      EXPECT_EQ((t.data.data() - bytes->data()) % alignment, 0);
  }
}

TEST(Writer, RefusesBadCalls) {
  const uint64_t shape[] = {3, 2};
  const auto failure = [](const std::function<void(Writer&)>& act) {
    Writer w = sample();
    act(w);
    const auto bytes = w.to_bytes();
    if (bytes.ok()) return std::string("accepted");
    EXPECT_EQ(bytes.error().code, ErrorCode::kInvalidValue);
    return bytes.error().message;
  };
  EXPECT_THAT(failure([](Writer& w) { w.set_uint("u32", 1); }), HasSubstr("'u32' was set twice"));
  EXPECT_THAT(
      failure([&](Writer& w) { w.add_tensor("b", TensorType::kF32, shape, as_bytes(kData)); }),
      HasSubstr("'b' was added twice"));
  EXPECT_THAT(failure([&](Writer& w) {
                w.add_tensor("c", TensorType::kF32, shape, as_bytes(kData).first(20));
              }),
              HasSubstr("'c'"));
  EXPECT_THAT(
      failure([&](Writer& w) { w.add_tensor("c", TensorType::kQ4_0, shape, as_bytes(kData)); }),
      HasSubstr("'c'"));
  EXPECT_THAT(failure([&](Writer& w) { w.add_tensor("c", TensorType::kF32, {}, as_bytes(kData)); }),
              HasSubstr("'c'"));
  EXPECT_THAT(failure([](Writer& w) { w.set_uint("", 1); }), HasSubstr("printable"));
  EXPECT_THAT(failure([](Writer& w) { w.set_uint("a b", 1); }), HasSubstr("'a b'"));
  EXPECT_THAT(failure([](Writer& w) { w.set_uint("general.alignment", 24); }), HasSubstr("24"));
}

TEST(Writer, AFailedWriteLeavesTheOldFile) {
  const os::TempDir dir;
  ASSERT_TRUE(os::write_file_atomic(dir.file("m.gguf"), "old").ok());
  Writer w = sample();
  w.set_uint("u32", 1);
  EXPECT_FALSE(w.write_file(dir.file("m.gguf")).ok());
  EXPECT_EQ(*os::read_file(dir.file("m.gguf"), 10), "old");
}

TEST(SharedData, AllVocabulariesOpen) {
  const std::filesystem::path directory = weir::paths::shared("data/tokenizers");
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << directory << " is not there";
  int opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto file = File::open(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.error().message;
    const auto tokens = file->get_strings("tokenizer.ggml.tokens");
    ASSERT_TRUE(tokens.ok()) << tokens.error().message;
    EXPECT_GT(tokens->size(), 20'000U);
    ++opened;
  }
  EXPECT_GT(opened, 5);
}

File::Parts parts_of(std::vector<Tensor> tensors) {
  Writer w;
  w.set_string("general.architecture", "llama");
  File::Parts parts;
  parts.path = "folder";
  parts.metadata = w.to_bytes().value();
  parts.tensors = std::move(tensors);
  return parts;
}

TEST(Assembled, GivesMetadataAndTensorsAlsoAfterAMove) {
  constexpr size_t kBytes = 1 << 16;
  File::Parts parts = parts_of({});
  for (const char* name : {"blk.0.a", "blk.1.a"}) {
    parts.buffers.push_back(std::make_unique<std::byte[]>(kBytes));
    parts.buffers.back()[kBytes / 2] = std::byte{7};
    parts.tensors.push_back(
        {name, TensorType::kI8, {kBytes}, {parts.buffers.back().get(), kBytes}});
  }
  parts.tensors.push_back({"view", TensorType::kF32, {6}, as_bytes(kData)});
  auto assembled = File::assemble(std::move(parts));
  ASSERT_TRUE(assembled.ok()) << assembled.error().message;
  const File file = std::move(*assembled);
  EXPECT_EQ(file.get_string("general.architecture").value(), "llama");
  EXPECT_EQ(file.find_tensor("view")->data.data(), as_bytes(kData).data());
  file.release("blk.0.");
  file.release("view");
  file.release("blk.1.", File::Release::kReadLater);
  EXPECT_EQ(file.find_tensor("blk.0.a")->data[kBytes / 2], std::byte{0});  // given back
  EXPECT_EQ(file.find_tensor("blk.1.a")->data[kBytes / 2], std::byte{7});
  EXPECT_EQ(kData[0], 0.5f);
}

TEST(Assembled, RefusesATensorTwice) {
  const Tensor t{"a", TensorType::kF32, {6}, as_bytes(kData)};
  const auto file = File::assemble(parts_of({t, t}));
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.error().message, HasSubstr("twice"));
}

}  // namespace
}  // namespace weir::gguf
