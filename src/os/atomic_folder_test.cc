#include "os/atomic_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::os {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

size_t entries(const std::string& path) {
  size_t n = 0;
  for (const auto& entry : fs::directory_iterator(path)) n += entry.exists() ? 1U : 0U;
  return n;
}

TEST(AtomicFolder, IsThereAfterCommitAndNotBefore) {
  const TempDir dir;
  auto folder = AtomicFolder::create(dir.file("new") + "/");
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  ASSERT_TRUE(write_file_atomic(folder->file("a"), "text").ok());
  EXPECT_FALSE(fs::exists(dir.file("new")));
  ASSERT_TRUE(folder->commit().ok());
  EXPECT_EQ(*read_file(dir.file("new/a"), 100), "text");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(AtomicFolder, LeavesNothingWithoutCommit) {
  const TempDir dir;
  {
    auto folder = AtomicFolder::create(dir.file("new"));
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(write_file_atomic(folder->file("a"), "text").ok());
    const AtomicFolder moved = std::move(*folder);
  }
  EXPECT_EQ(entries(dir.path()), 0U);
}

TEST(AtomicFolder, RefusesWhatIsThere) {
  const TempDir dir;
  for (const char* name : {"folder", "link"}) {
    if (std::string(name) == "folder") fs::create_directory(dir.file(name));
    if (std::string(name) == "link") fs::create_symlink("nowhere", dir.file(name));
    const auto folder = AtomicFolder::create(dir.file(name));
    ASSERT_FALSE(folder.ok());
    EXPECT_EQ(folder.error().code, ErrorCode::kIo);
    EXPECT_THAT(folder.error().message, HasSubstr("is there already"));
  }
}

TEST(AtomicFolder, RefusesWhatCameMeanwhile) {
  const TempDir dir;
  {
    auto folder = AtomicFolder::create(dir.file("new"));
    ASSERT_TRUE(folder.ok());
    fs::create_directory(dir.file("new"));
    EXPECT_THAT(folder->commit().error().message, HasSubstr("is there already"));
  }
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(AtomicFolder, NamesAParentThatIsMissing) {
  const TempDir dir;
  const auto folder = AtomicFolder::create(dir.file("no/new"));
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(folder.error().message, HasSubstr("no/new"));
}

}  // namespace
}  // namespace weir::os
