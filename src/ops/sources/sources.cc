#include "ops/sources/sources.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "ops/data/embedded.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kFile = "skill/data/sources.json";
constexpr std::array<std::string_view, 9> kKinds = {
    "paper", "docs", "release", "datasheet", "spec", "code", "price", "blog", "book"};
constexpr std::array<std::string_view, 12> kKeys = {
    "id",        "title",    "url",      "publisher", "kind",   "primary",
    "published", "accessed", "verified", "topics",    "claims", "review_by"};

// One object of the ledger.
class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  Error wrong(std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}: {}", where_, what);
  }
  Result<std::string> text(std::string_view key, bool needed = true) const {
    const Json* v = object_.find(key);
    if (v == nullptr && !needed) return std::string();
    if (v == nullptr || !v->is_string() || v->as_string().empty())
      return wrong(fmt::format("{} must be a text", key));
    return v->as_string();
  }
  Result<bool> flag(std::string_view key) const {
    const Json* v = object_.find(key);
    if (v == nullptr || !v->is_bool()) return wrong(fmt::format("{} must be true or false", key));
    return v->as_bool();
  }
  Result<std::string> day(std::string_view key) const {
    WEIR_ASSIGN(const std::string value, text(key));
    if (is_day(value)) return value;
    return wrong(fmt::format("{} must be a day (YYYY-MM-DD), not \"{}\"", key, value));
  }

 private:
  const Json& object_;
  std::string where_;
};

Result<SourceClaim> read_claim(const Json& json, const std::string& where) {
  const Reader r(json, where);
  SourceClaim c;
  WEIR_ASSIGN(c.id, r.text("id"));
  WEIR_ASSIGN(c.text, r.text("text"));
  WEIR_ASSIGN(c.value, r.text("value", false));
  WEIR_ASSIGN(c.workload, r.text("workload", false));
  WEIR_ASSIGN(c.read, r.flag("read"));
  return c;
}

bool is_published(std::string_view text) {
  if (text.empty()) return true;
  if (text.size() == 4) return is_day(std::string(text) + "-01-01");
  return is_day(text.size() == 7 ? std::string(text) + "-01" : std::string(text));
}

Result<Source> read_source(const Json& json, const std::string& where) {
  const Reader r(json, where);
  if (!json.is_object()) return r.wrong("must be an object");
  for (const auto& [key, value] : json.members()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      return r.wrong(fmt::format("unknown key \"{}\"", key));
  }
  Source s;
  WEIR_ASSIGN(s.id, r.text("id"));
  WEIR_ASSIGN(s.title, r.text("title"));
  WEIR_ASSIGN(s.url, r.text("url"));
  WEIR_ASSIGN(s.publisher, r.text("publisher"));
  WEIR_ASSIGN(s.kind, r.text("kind"));
  WEIR_ASSIGN(s.primary, r.flag("primary"));
  WEIR_ASSIGN(s.verified, r.flag("verified"));
  WEIR_ASSIGN(s.published, r.text("published", false));
  WEIR_ASSIGN(s.accessed, r.day("accessed"));
  WEIR_ASSIGN(s.review_by, r.day("review_by"));
  if (!s.url.starts_with("https://"))
    return r.wrong(fmt::format("url must be https, not {}", s.url));
  if (std::find(kKinds.begin(), kKinds.end(), s.kind) == kKinds.end())
    return r.wrong(
        fmt::format("kind must be one of {}, not \"{}\"", fmt::join(kKinds, ", "), s.kind));
  if (!is_published(s.published))
    return r.wrong(
        fmt::format("published must be a year, a month or a day, not \"{}\"", s.published));
  const Json* topics = json.find("topics");
  if (topics == nullptr || !topics->is_array() || topics->size() == 0)
    return r.wrong("topics must be a list of texts");
  for (const Json& topic : topics->items()) {
    if (!topic.is_string()) return r.wrong("topics must be a list of texts");
    s.topics.push_back(topic.as_string());
  }
  const Json* claims = json.find("claims");
  if (claims == nullptr || !claims->is_array()) return r.wrong("claims must be a list");
  for (const Json& c : claims->items()) {
    WEIR_ASSIGN(SourceClaim claim,
                read_claim(c, fmt::format("{}, claim {}", where, s.claims.size())));
    if (s.claim(claim.id) != nullptr)
      return r.wrong(fmt::format("claim {} stands twice", claim.id));
    s.claims.push_back(std::move(claim));
  }
  return s;
}

}  // namespace

bool is_day(std::string_view day) {
  if (day.size() != 10 || day[4] != '-' || day[7] != '-') return false;
  int year = 0, month = 0, date = 0;
  const auto number = [&](size_t at, size_t n, int& out) {
    const char* end = day.data() + at + n;
    return std::from_chars(day.data() + at, end, out).ptr == end;
  };
  if (!number(0, 4, year) || !number(5, 2, month) || !number(8, 2, date)) return false;
  constexpr std::array kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1900 || year > 2200 || month < 1 || month > 12 || date < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return date <= kDays[static_cast<size_t>(month) - 1] + (month == 2 && leap ? 1 : 0);
}

const SourceClaim* Source::claim(std::string_view claim_id) const {
  const auto it = std::find_if(claims.begin(), claims.end(),
                               [&](const SourceClaim& c) { return c.id == claim_id; });
  return it == claims.end() ? nullptr : &*it;
}

const Source* Sources::find(std::string_view id) const {
  const auto it = std::find_if(all.begin(), all.end(), [&](const Source& s) { return s.id == id; });
  return it == all.end() ? nullptr : &*it;
}

Result<Sources> parse_sources(std::string_view json, std::string_view name) {
  auto parsed = Json::parse(json);
  if (!parsed.ok()) return parsed.error().with_context(std::string(name));
  if (!parsed->is_array())
    return make_error(ErrorCode::kCorrupt, "{}: must be a list of sources", name);
  Sources out;
  std::set<std::string> urls;
  for (const Json& item : parsed->items()) {
    const Json* id = item.find("id");
    const std::string where = fmt::format("{}: source {} ({})", name, out.all.size(),
                                          id != nullptr && id->is_string() ? id->as_string() : "?");
    WEIR_ASSIGN(Source source, read_source(item, where));
    if (out.find(source.id) != nullptr)
      return make_error(ErrorCode::kCorrupt, "{}: the id stands twice", where);
    if (!urls.insert(source.url).second)
      return make_error(ErrorCode::kCorrupt, "{}: its address stands twice", where);
    out.all.push_back(std::move(source));
  }
  return out;
}

Result<Sources> built_in_sources() { return parse_sources(embedded_file(kFile), kFile); }

}  // namespace weir::ops
