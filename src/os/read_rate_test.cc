#include "os/read_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

TEST(ReadRate, ReadsAFileToItsEndOrItsLimit) {
  const TempDir folder;
  const SystemClock clock;
  ASSERT_TRUE(write_file_atomic(folder.file("a"), std::string(20 << 20, 'x')).ok());
  const auto whole = measure_read_rate(folder.file("a"), 1 << 30, 10'000, clock);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->bytes, uint64_t{20} << 20);
  EXPECT_GT(whole->bytes_per_s, 0);
  const auto part = measure_read_rate(folder.file("a"), 1 << 20, 10'000, clock);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->bytes, uint64_t{8} << 20);
}

TEST(ReadRate, WhatSaysNothingIsRefused) {
  const TempDir folder;
  const SystemClock clock;
  ASSERT_TRUE(write_file_atomic(folder.file("a"), "small").ok());
  EXPECT_EQ(measure_read_rate(folder.file("a"), 1, 1, clock).error().code, ErrorCode::kLimit);
  EXPECT_EQ(measure_read_rate(folder.path(), 1, 1, clock).error().code, ErrorCode::kLimit);
  EXPECT_EQ(measure_read_rate(folder.file("b"), 1, 1, clock).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace weir::os
