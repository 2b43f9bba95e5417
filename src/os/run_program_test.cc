#include "os/run_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace weir::os {
namespace {

using ::testing::HasSubstr;

TEST(RunProgram, GivesTheOutputOfWhatSucceeds) {
  const std::string shell = find_program("sh");
  ASSERT_FALSE(shell.empty());
  const auto out = run_program({shell, "-c", "cat; echo a; echo b >&2"}, {});
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(*out, "a\n");
}

TEST(RunProgram, SaysWhatFailed) {
  const std::string shell = find_program("sh");
  EXPECT_THAT(run_program({"/no/such/program"}, {}).error().message, HasSubstr("/no/such/program"));
  EXPECT_THAT(run_program({shell, "-c", "exit 3"}, {}).error().message, HasSubstr("exit code 3"));
  EXPECT_EQ(*run_program({shell, "-c", "echo x; exit 3"}, {}, true), "x\n");
  EXPECT_THAT(run_program({shell, "-c", "kill -9 $$"}, {}).error().message, HasSubstr("signal"));
  const auto much = run_program({shell, "-c", "while :; do echo 0123456789; done"},
                                {.timeout_ms = 10'000, .max_bytes = 1000});
  EXPECT_EQ(much.error().code, ErrorCode::kLimit);
  EXPECT_EQ(find_program("no-such-program-here"), "");
}

TEST(RunProgram, EndsWhatTakesTooLongWithItsChildren) {
  const std::string shell = find_program("sh");
  const auto start = std::chrono::steady_clock::now();
  const auto out =
      run_program({shell, "-c", "sleep 60 & sleep 60"}, {.timeout_ms = 200, .max_bytes = 1000});
  EXPECT_THAT(out.error().message, HasSubstr("longer than 200 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace weir::os
