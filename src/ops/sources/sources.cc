#include "ops/sources/sources.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <set>

#include "ops/data/embedded.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kFile = "skill/data/sources.json";
constexpr uint64_t kMaxFileBytes = 4 << 20;
constexpr std::array<std::string_view, 9> kKinds = {
    "paper", "docs", "release", "datasheet", "spec", "code", "price", "blog", "book"};
constexpr std::array kStaleDays = {731, 60, 60, 180, 731, 60, 30, 180, 731};  // of kKinds
constexpr std::array<std::string_view, 13> kKeys = {
    "id",       "title",    "url",    "publisher", "kind", "primary",  "published",
    "accessed", "verified", "topics", "claims",    "note", "review_by"};

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
    if (day_number(value)) return value;
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

// With a host, and nothing that a terminal, a page or another program could take for the end of it.
bool is_address(std::string_view url) {
  const size_t host = url.find("://") + 3;
  return host < url.size() && std::isalnum(static_cast<unsigned char>(url[host])) != 0 &&
         std::all_of(url.begin(), url.end(), [](char c) {
           return c > ' ' && c < 0x7F && c != '"' && c != '<' && c != '>' && c != '\\';
         });
}

bool is_published(std::string_view text) {
  if (text.empty()) return true;
  if (text.size() == 4) return day_number(std::string(text) + "-01-01").has_value();
  return day_number(text.size() == 7 ? std::string(text) + "-01" : std::string(text)).has_value();
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
  WEIR_ASSIGN(s.note, r.text("note", false));
  WEIR_ASSIGN(s.published, r.text("published", false));
  WEIR_ASSIGN(s.accessed, r.day("accessed"));
  WEIR_ASSIGN(s.review_by, r.day("review_by"));
  if (!s.url.starts_with("https://"))
    return r.wrong(fmt::format("url must be https, not {}", s.url));
  if (!is_address(s.url))
    return r.wrong(fmt::format("url must be an address of visible ASCII, not {}", s.url));
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

Result<Sources> sources_with_project(const std::string& path) {
  WEIR_ASSIGN(Sources out, built_in_sources());
  auto text = os::read_file(path, kMaxFileBytes);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return out;
  if (!text.ok()) return text.error();
  WEIR_ASSIGN(Sources own, parse_sources(*text, path));
  for (Source& source : own.all) {
    if (out.find(source.id) != nullptr) {
      return make_error(
          ErrorCode::kCorrupt,
          "{}: {} stands in the program's ledger, which a project cannot change; give "
          "it another id",
          path, source.id);
    }
    const auto same = std::find_if(out.all.begin(), out.all.end(),
                                   [&](const Source& s) { return s.url == source.url; });
    if (same != out.all.end()) {
      return make_error(ErrorCode::kCorrupt, "{}: {} has the address of {}; cite that one", path,
                        source.id, same->id);
    }
    out.all.push_back(std::move(source));
  }
  return out;
}

std::span<const std::string_view> source_kinds() { return kKinds; }

int stale_days(std::string_view kind) {
  const auto* it = std::find(kKinds.begin(), kKinds.end(), kind);
  assert(it != kKinds.end());
  return kStaleDays[static_cast<size_t>(it - kKinds.begin())];
}

}  // namespace weir::ops
