#include "ops/eval/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <utility>

#include "ops/eval/fingerprint.h"
#include "os/file.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kHeader = R"({"format":"weir-eval-cache/1"})";

Status write_text(int fd, std::string_view text, const std::string& path) {
  return os::write_all(fd, std::as_bytes(std::span(text)), path);
}

std::string line_of(const std::string& key, std::string_view task, std::string_view item,
                    const CachedAnswer& answer) {
  Json j = Json::object();
  j.set("key", key);
  j.set("task", text::replace_invalid_utf8(task));
  j.set("item", text::replace_invalid_utf8(item));
  j.set("text", answer.text);
  j.set("tokens", int64_t{answer.tokens});
  if (answer.cut) j.set("cut", true);
  if (!answer.scores.empty()) {
    Json scores = Json::object();
    for (const auto& [name, value] : answer.scores) scores.set(name, value);
    j.set("scores", std::move(scores));
  }
  return j.dump() + "\n";
}

// False: no scores. Shares of right answers are 0 to 1, the others finite.
bool read_scores(const Json& json, EvalScores& scores) {
  if (!json.is_object() || json.size() > EvalLimits::kScores) return false;
  for (const auto& [name, value] : json.members()) {
    if (!value.is_number()) return false;
    const double score = value.as_double();
    const bool share = name == "acc" || name == "acc_norm";
    const bool good = share ? score >= 0 && score <= 1 : std::abs(score) <= EvalLimits::kScore;
    if (!good || name.empty() || name.size() > EvalLimits::kNameBytes) return false;
    scores.emplace_back(name, score);
  }
  return true;
}

// False: not a line of a cache.
bool read_line(std::string_view line, std::string& key, CachedAnswer& answer) {
  const auto j = Json::parse(line, {.max_depth = 4, .max_values = 200});
  if (!j.ok()) return false;
  const Json* name = j->find("key");
  const Json* text = j->find("text");
  const Json* tokens = j->find("tokens");
  if (name == nullptr || !name->is_string() || text == nullptr || !text->is_string() ||
      tokens == nullptr || !tokens->is_int())
    return false;
  key = name->as_string();
  answer.text = text->as_string();
  if (tokens->as_int() < 0 || tokens->as_int() > INT32_MAX) return false;
  answer.tokens = static_cast<int32_t>(tokens->as_int());
  const Json* cut = j->find("cut");
  answer.cut = cut != nullptr && *cut == Json(true);
  const Json* scores = j->find("scores");
  return scores == nullptr || read_scores(*scores, answer.scores);
}

}  // namespace

std::string cache_key(std::span<const std::string> parts) {
  std::string all;
  for (const std::string& part : parts) all += fmt::format("{}:{}", part.size(), part);
  return hex(text_hash(all));
}

Result<ResultCache> ResultCache::open(const std::string& path) {
  ResultCache cache;
  cache.path_ = path;
  // Non-blocking for a device that waits.
  constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  cache.fd_ = ::open(path.c_str(), kFlags, 0666);
  if (cache.fd_ < 0) return os::system_error("open", path, errno);
  struct stat info {};
  if (::fstat(cache.fd_, &info) != 0) return os::system_error("read the size of", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return make_error(ErrorCode::kIo, "{} is no file: a cache is one that lines are added to",
                      path);
  }
  if (::flock(cache.fd_, LOCK_EX | LOCK_NB) != 0) {
    return make_error(ErrorCode::kIo, "{} is in use by another process: give each run its own",
                      path);
  }
  WEIR_ASSIGN(const std::string text, os::read_file(path, kMaxBytes));
  WEIR_TRY(cache.read(text));
  return cache;
}

Status ResultCache::read(const std::string& text) {
  const size_t end = text.rfind('\n') + 1;  // 0: no whole line
  std::string_view lines = std::string_view(text).substr(0, end);
  const std::string_view torn = std::string_view(text).substr(end);
  const bool ours =
      lines.empty() ? kHeader.starts_with(torn) : lines.starts_with(fmt::format("{}\n", kHeader));
  if (!ours) {
    return make_error(ErrorCode::kCorrupt,
                      "{}:1: not a cache of weir eval task; name another file for --cache", path_);
  }
  for (int number = 1; !lines.empty(); ++number) {
    const size_t length = lines.find('\n');
    const std::string_view line = lines.substr(0, length);
    lines.remove_prefix(length + 1);
    if (number == 1) continue;
    std::string key;
    CachedAnswer answer;
    if (!read_line(line, key, answer)) {
      return make_error(ErrorCode::kCorrupt, "{}:{}: a broken line: take it out, or the file away",
                        path_, number);
    }
    answers_.insert_or_assign(std::move(key), std::move(answer));
  }
  if (!torn.empty()) {
    cut_bytes_ = torn.size();
    if (::ftruncate(fd_, static_cast<off_t>(end)) != 0)
      return os::system_error("truncate", path_, errno);
  }
  return end > 0 ? Status() : write_text(fd_, fmt::format("{}\n", kHeader), path_);
}

ResultCache::ResultCache(ResultCache&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      cut_bytes_(other.cut_bytes_),
      answers_(std::move(other.answers_)) {}

ResultCache::~ResultCache() {
  if (fd_ >= 0) ::close(fd_);
}

const CachedAnswer* ResultCache::find(const std::string& key) const {
  const auto found = answers_.find(key);
  return found == answers_.end() ? nullptr : &found->second;
}

Status ResultCache::put(const std::string& key, std::string_view task, std::string_view item,
                        CachedAnswer answer) {
  WEIR_TRY(write_text(fd_, line_of(key, task, item, answer), path_));
  answers_.insert_or_assign(key, std::move(answer));
  return {};
}

}  // namespace weir::ops
