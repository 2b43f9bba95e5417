#include "os/job.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "os/temp_dir.h"

namespace weir::os {
namespace {

using std::chrono::steady_clock;

JobSpec shell(const std::string& script) {
  JobSpec spec;
  spec.command = {"/bin/sh", "-c", script};
  return spec;
}

JobEnd run(const JobSpec& spec, int timeout_ms = 10'000) {
  auto job = Job::start(spec);
  EXPECT_TRUE(job.ok());
  return job.ok() ? job->wait(timeout_ms) : JobEnd{};
}

double seconds_since(steady_clock::time_point begin) {
  return std::chrono::duration<double>(steady_clock::now() - begin).count();
}

TEST(Job, KeepsTheStreamsApartOrTogether) {
  JobSpec spec = shell("echo out; echo err >&2; exit 3");
  const JobEnd apart = run(spec);
  EXPECT_EQ(apart.why, JobEnd::Why::kExited);
  EXPECT_EQ(apart.code, 3);
  EXPECT_EQ(apart.output, "out\n");
  EXPECT_EQ(apart.errors, "err\n");
  spec.merge = true;
  EXPECT_EQ(run(spec).output, "out\nerr\n");
}

TEST(Job, HasTheFolderAndVariablesOfTheSpec) {
  const TempDir dir;
  JobSpec spec = shell("pwd; echo ${WEIR_JOB_A:-gone} ${WEIR_JOB_B:-gone}");
  spec.folder = dir.path();
  ::setenv("WEIR_JOB_B", "inherited", 1);
  spec.environment = {{"WEIR_JOB_A", "set"}, {"WEIR_JOB_B", ""}};
  EXPECT_EQ(run(spec).output, dir.path() + "\nset gone\n");
}

TEST(Job, ThrowsAwayWhatIsBeyondTheBound) {
  JobSpec spec = shell("i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done");
  spec.max_bytes = 100;
  const JobEnd end = run(spec);
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.output.size(), 100U);
  EXPECT_TRUE(end.cut);
}

TEST(Job, EndsTheWholeGroupWhenItsTimeIsOver) {
  const TempDir dir;
  JobSpec spec = shell("sleep 60 & echo $!; wait");
  const auto begin = steady_clock::now();
  const JobEnd end = run(spec, 300);
  EXPECT_EQ(end.why, JobEnd::Why::kTimeout);
  EXPECT_LT(seconds_since(begin), 5);
  const int left = std::atoi(end.output.c_str());
  ASSERT_GT(left, 0);
  // Killed; an init that reaps may take a moment.
  for (int i = 0; i < 200 && ::kill(left, 0) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(::kill(left, 0) != 0 ||
              system(("grep -q 'State:.Z' /proc/" + std::to_string(left) + "/status").c_str()) ==
                  0);
}

TEST(Job, DoesNotWaitForWhatIsLeftInTheBackground) {
  const auto begin = steady_clock::now();
  const JobEnd end = run(shell("sleep 60 & echo done"));
  EXPECT_EQ(end.why, JobEnd::Why::kExited);
  EXPECT_EQ(end.output, "done\n");
  EXPECT_LT(seconds_since(begin), 5);
}

TEST(Job, StopsWhenAsked) {
  auto job = Job::start(shell("echo begun; sleep 60"));
  ASSERT_TRUE(job.ok());
  int asked = 0;
  const JobEnd end = job->wait(30'000, [&] { return ++asked > 4; });
  EXPECT_EQ(end.why, JobEnd::Why::kStopped);
  EXPECT_EQ(end.output, "begun\n");
}

TEST(Job, TellsSignalsAndProgramsThatAreNotThere) {
  const JobEnd end = run(shell("kill -TERM $$"));
  EXPECT_EQ(end.why, JobEnd::Why::kSignal);
  EXPECT_EQ(end.code, SIGTERM);
  JobSpec none;
  none.command = {"/nowhere/program"};
  const auto job = Job::start(none);
  ASSERT_FALSE(job.ok());
  EXPECT_NE(job.error().message.find("/nowhere/program"), std::string::npos);
}

TEST(Job, WaitsForALine) {
  auto job = Job::start(shell("echo early; echo 'ready on 7'; sleep 60"));
  ASSERT_TRUE(job.ok());
  const auto line = job->wait_for_line("ready ", 10'000);
  ASSERT_TRUE(line.ok()) << line.error().message;
  EXPECT_EQ(*line, "ready on 7");
  EXPECT_TRUE(job->running());
  auto ended = Job::start(shell("echo why >&2"));
  ASSERT_TRUE(ended.ok());
  const auto nothing = ended->wait_for_line("ready ", 10'000);
  ASSERT_FALSE(nothing.ok());
  EXPECT_NE(nothing.error().message.find("why"), std::string::npos) << nothing.error().message;
}

}  // namespace
}  // namespace weir::os
