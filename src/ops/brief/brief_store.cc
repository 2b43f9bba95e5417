#include "ops/brief/brief_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/hash.h"
#include "ops/project/folder_lock.h"
#include "ops/sources/ages.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr uint64_t kMaxIndexBytes = 1 << 20;
constexpr size_t kMaxBriefs = 10'000, kMaxSlug = 48;
constexpr std::string_view kIndex = "briefs.json";

// To see that a file is still what was checked; nobody is kept from forging it.
std::string hash_of(std::string_view text) {
  const Hash128 h = keyed_hash({}, std::as_bytes(std::span(text.data(), text.size())));
  return fmt::format("{:016x}{:016x}", h.high, h.low);
}

std::string slug(std::string_view question) {
  std::string out;
  for (const char c : question) {
    const char s = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if ((s >= 'a' && s <= 'z') || (s >= '0' && s <= '9')) {
      out += s;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
    if (out.size() == kMaxSlug) break;
  }
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "question" : out;
}

Result<StoredBrief> read_entry(const Json& json, const std::string& where) {
  StoredBrief b;
  for (const auto& [key, out] :
       {std::pair("file", &b.file), std::pair("question", &b.question), std::pair("kind", &b.kind),
        std::pair("written", &b.written), std::pair("hash", &b.hash)}) {
    const Json* v = json.find(key);
    if (v == nullptr || !v->is_string())
      return make_error(ErrorCode::kCorrupt, "{}: {} must be a text", where, key);
    *out = v->as_string();
  }
  if (!day_number(b.written))
    return make_error(ErrorCode::kCorrupt, "{}: written must be a day", where);
  if (b.file.find('/') != std::string::npos || !b.file.starts_with("brief-"))
    return make_error(ErrorCode::kCorrupt, "{}: file must be the name of a brief beside it", where);
  const Json* topics = json.find("topics");
  if (topics == nullptr || !topics->is_array())
    return make_error(ErrorCode::kCorrupt, "{}: topics must be a list", where);
  for (const Json& t : topics->items()) {
    if (!t.is_string()) return make_error(ErrorCode::kCorrupt, "{}: topics must be texts", where);
    b.topics.push_back(t.as_string());
  }
  return b;
}

std::string index_text(std::span<const StoredBrief> briefs) {
  Json all = Json::array();
  for (const StoredBrief& b : briefs) {
    Json topics = Json::array();
    for (const std::string& t : b.topics) topics.push_back(t);
    Json j = Json::object();
    j.set("file", b.file);
    j.set("question", b.question);
    j.set("kind", b.kind);
    j.set("topics", std::move(topics));
    j.set("written", b.written);
    j.set("hash", b.hash);
    all.push_back(std::move(j));
  }
  return all.dump({.indent = 2}) + "\n";
}

std::string path_of(const std::string& evidence, std::string_view file) {
  return fmt::format("{}/{}", evidence, file);
}

}  // namespace

Result<std::vector<StoredBrief>> parse_brief_index(std::string_view json, std::string_view name) {
  auto parsed = Json::parse(json);
  if (!parsed.ok()) return parsed.error().with_context(std::string(name));
  if (!parsed->is_array() || parsed->size() > kMaxBriefs)
    return make_error(ErrorCode::kCorrupt, "{}: must be a list of at most {} briefs", name,
                      kMaxBriefs);
  std::vector<StoredBrief> out;
  for (const Json& item : parsed->items()) {
    WEIR_ASSIGN(StoredBrief brief, read_entry(item, fmt::format("{}: brief {}", name, out.size())));
    out.push_back(std::move(brief));
  }
  return out;
}

Result<std::vector<StoredBrief>> read_brief_index(const std::string& evidence) {
  const std::string path = path_of(evidence, kIndex);
  const auto text = os::read_file(path, kMaxIndexBytes);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return std::vector<StoredBrief>();
  if (!text.ok()) return text.error();
  return parse_brief_index(*text, path);
}

Result<std::string> store_brief(const std::string& evidence, std::string_view text) {
  std::vector<BriefProblem> problems;
  const Brief b = parse_brief(text, problems);
  std::error_code error;
  std::filesystem::create_directories(evidence, error);
  if (error) return make_error(ErrorCode::kIo, "cannot make {}: {}", evidence, error.message());
  WEIR_ASSIGN(const FolderLock lock, FolderLock::take(evidence));
  WEIR_ASSIGN(auto index, read_brief_index(evidence));
  StoredBrief entry{fmt::format("brief-{}-{}.md", b.written, slug(b.question)),
                    b.question,
                    b.kind,
                    b.written,
                    b.topics,
                    hash_of(text)};
  WEIR_TRY(os::write_file_atomic(path_of(evidence, entry.file), text));
  std::erase_if(index, [&](const StoredBrief& old) { return old.file == entry.file; });
  const std::string file = entry.file;
  index.push_back(std::move(entry));
  WEIR_TRY(os::write_file_atomic(path_of(evidence, kIndex), index_text(index)));
  return file;
}

std::string BriefState::text() const {
  const std::string next =
      fmt::format("weir sources brief new \"QUESTION\" (about {})", topic->title);
  switch (kind) {
    case Kind::kFresh:
      return fmt::format("{}: brief evidence/{} of {}, {} old", topic->id, brief.file,
                         brief.written, days(age_days));
    case Kind::kOld:
      return fmt::format("{}: unverified: the newest brief, evidence/{}, is {} old, {} at most; {}",
                         topic->id, brief.file, days(age_days), topic->fresh_days, next);
    case Kind::kChanged:
      return fmt::format(
          "{}: unverified: evidence/{} is not what was checked; weir sources brief check it again",
          topic->id, brief.file);
    case Kind::kNone:
      break;
  }
  return fmt::format("{}: unverified: no brief newer than {} days; {}", topic->id,
                     topic->fresh_days, next);
}

Result<std::vector<BriefState>> brief_states(const std::string& evidence, const Trends& trends,
                                             std::span<const Tree> trees, int today) {
  WEIR_ASSIGN(const auto index, read_brief_index(evidence));
  std::vector<BriefState> out;
  for (const TrendTopic& topic : trends.topics) {
    const bool walked = std::any_of(trees.begin(), trees.end(), [&](const Tree& t) {
      return std::find(topic.trees.begin(), topic.trees.end(), t.name) != topic.trees.end();
    });
    if (!walked) continue;
    BriefState state;
    state.topic = &topic;
    for (const StoredBrief& b : index) {
      const bool about = std::find(b.topics.begin(), b.topics.end(), topic.id) != b.topics.end();
      if (about && b.written >= state.brief.written) state.brief = b;
    }
    if (!state.brief.file.empty()) {
      state.age_days = today - day_number(state.brief.written).value_or(today);
      const auto text = os::read_file(path_of(evidence, state.brief.file), kMaxBriefBytes);
      state.kind = !text.ok() || hash_of(*text) != state.brief.hash ? BriefState::Kind::kChanged
                   : state.age_days > topic.fresh_days              ? BriefState::Kind::kOld
                                                                    : BriefState::Kind::kFresh;
    }
    out.push_back(std::move(state));
  }
  return out;
}

}  // namespace weir::ops
