#include "telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace weir::telemetry {
namespace {

using testing::EndsWith;
using testing::IsEmpty;
using testing::MatchesRegex;

// A logger that writes into a temporary file.
class LogTest : public testing::Test {
 protected:
  std::string lines() {
    std::rewind(file_);
    std::string text(1 << 16, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }
  ~LogTest() override { std::fclose(file_); }
  std::FILE* file_ = std::tmpfile();
};

TEST_F(LogTest, Text) {
  Logger log({LogLevel::kInfo, LogFormat::kText, file_});
  log.info("listening",
           {{"host", "127.0.0.1"}, {"port", 8080}, {"ok", true}, {"s", 0.25}, {"note", "a b"}});
  EXPECT_THAT(lines(),
              MatchesRegex("....-..-..T..:..:..\\....Z info listening host=127.0.0.1 port=8080 "
                           "ok=true s=0.25 note=\"a b\"\n"));
}

TEST_F(LogTest, Json) {
  Logger log({LogLevel::kInfo, LogFormat::kJson, file_});
  log.warn("x", {{"k", "q\"\\\n"}, {"n", uint64_t{18446744073709551615U}}, {"nan", std::nan("")}});
  EXPECT_THAT(lines(), EndsWith("\"level\":\"warn\",\"event\":\"x\",\"k\":\"q\\\"\\\\\\u000a\","
                                "\"n\":18446744073709551615,\"nan\":\"nan\"}\n"));
}

TEST_F(LogTest, LinesThatTheDiskDoesNotTakeAreCounted) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  std::setvbuf(full, nullptr, _IONBF, 0);  // as stderr is
  Logger log({LogLevel::kInfo, LogFormat::kText, full});
  EXPECT_EQ(log.lost(), 0U);
  log.info("a");
  log.debug("is not written at all");
  log.warn("b");
  EXPECT_EQ(log.lost(), 2U);
  std::fclose(full);
  Logger good({LogLevel::kInfo, LogFormat::kText, file_});
  good.info("a");
  EXPECT_EQ(good.lost(), 0U);
}

TEST_F(LogTest, OneEventIsOneLine) {
  Logger log({LogLevel::kInfo, LogFormat::kText, file_});
  log.info("a\nb", {{"k", "x\r\ny level=error"}});
  const std::string text = lines();
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
}

// What some reader takes for a command or for the end of a line, and what is not UTF-8.
TEST_F(LogTest, NothingInAValueIsACommand) {
  for (const LogFormat format : {LogFormat::kText, LogFormat::kJson}) {
    std::rewind(file_);
    Logger log({LogLevel::kInfo, format, file_});
    log.info("e",
             {{"k", std::string_view("\r\n\x1b[2J\0\x7f\xc2\x9b\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"
                                     "\xe2\x80\xae\xe2\x81\xa6\xff\xed\xa0\x80",
                                     28)}});
    EXPECT_THAT(lines(), testing::HasSubstr(
                             "\"\\u000d\\u000a\\u001b[2J\\u0000\\u007f\\u009b\\u0085\\u2028\\u2029"
                             "\\u202e\\u2066\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
  }
  std::rewind(file_);
  Logger log({LogLevel::kInfo, LogFormat::kText, file_});
  log.info("e", {{"k", "gr\xc3\xbc\xc3\x9f \xe2\x80\x94 \xf0\x9f\x8c\x8a\xc2\xa0"}});
  EXPECT_THAT(lines(),
              testing::HasSubstr("\"gr\xc3\xbc\xc3\x9f \xe2\x80\x94 \xf0\x9f\x8c\x8a\xc2\xa0\""));
}

TEST_F(LogTest, LevelsFilter) {
  Logger log({LogLevel::kWarn, LogFormat::kText, file_});
  log.debug("d");
  log.info("i");
  EXPECT_THAT(lines(), IsEmpty());
  log.error("e");
  EXPECT_THAT(lines(), EndsWith(" error e\n"));
  EXPECT_FALSE(log.enabled(LogLevel::kInfo));
  EXPECT_FALSE(log.enabled(LogLevel::kOff));
}

TEST_F(LogTest, LongValuesAreCut) {
  Logger log({LogLevel::kInfo, LogFormat::kText, file_});
  log.info("e", {{"k", std::string(100000, 'x')}});
  EXPECT_LT(lines().size(), Logger::kMaxValueBytes + 64);
}

TEST(LogLevelTest, Parse) {
  EXPECT_EQ(*parse_log_level("warn"), LogLevel::kWarn);
  const auto bad = parse_log_level("loud");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace weir::telemetry
