#include "checkpoint/safetensors_writer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::checkpoint {
namespace {

std::vector<std::byte> bytes_of(size_t n, int first) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i));
  return bytes;
}

TEST(SafetensorsWriter, WhatItWritesIsReadAndAligned) {
  const os::TempDir dir;
  const std::vector<SafeTensorInfo> tensors = {{"codes", Dtype::kF8E4M3, {3, 5}},
                                               {"scales", Dtype::kBF16, {3, 1}},
                                               {"shape", Dtype::kI64, {2}},
                                               {"one", Dtype::kF32, {}},
                                               {"none", Dtype::kF32, {0, 4}}};
  auto writer = SafetensorsWriter::create(dir.file("a.safetensors"), tensors);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (size_t i = tensors.size(); i-- > 0;) {
    EXPECT_TRUE(writer->write(i, bytes_of(tensors[i].bytes(), static_cast<int>(10 * i + 1))).ok());
  }
  ASSERT_TRUE(writer->commit().ok());

  const auto file = os::read_file(dir.file("a.safetensors"), 1 << 20);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), safetensors_bytes(tensors));
  const auto read = parse_safetensors(std::as_bytes(std::span(*file)), "a");
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto found = std::find_if(read->begin(), read->end(),
                                    [&](const SafeTensor& t) { return t.name == tensors[i].name; });
    ASSERT_NE(found, read->end());
    EXPECT_EQ(found->dtype, tensors[i].dtype);
    EXPECT_EQ(found->shape, tensors[i].shape);
    const auto want = bytes_of(tensors[i].bytes(), static_cast<int>(10 * i + 1));
    EXPECT_TRUE(std::equal(want.begin(), want.end(), found->data.begin(), found->data.end()));
    const auto at = reinterpret_cast<const char*>(found->data.data()) - file->data();
    EXPECT_EQ(static_cast<uint64_t>(at) % dtype_bytes(found->dtype), 0U) << found->name;
  }
}

}  // namespace
}  // namespace weir::checkpoint
