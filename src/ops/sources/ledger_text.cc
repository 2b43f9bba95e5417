#include "ops/sources/ledger_text.h"

#include <vector>

#include "text/json.h"

namespace weir::ops {
namespace {

using text::json_quote;

std::string claim_text(const SourceClaim& c) {
  std::string out =
      fmt::format("    {{\"id\": {}, \"text\": {}", json_quote(c.id), json_quote(c.text));
  if (!c.value.empty()) out += fmt::format(", \"value\": {}", json_quote(c.value));
  if (!c.workload.empty()) out += fmt::format(", \"workload\": {}", json_quote(c.workload));
  return out + fmt::format(", \"read\": {}}}", c.read);
}

// Where the objects of the outer list begin and end (one behind). The text has been parsed.
std::vector<std::pair<size_t, size_t>> object_spans(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> out;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '{' || c == '[') {
      if (c == '{' && depth == 1) out.emplace_back(i, i);
      ++depth;
    }
    if (c == '}' || c == ']') {
      --depth;
      if (c == '}' && depth == 1) out.back().second = i + 1;
    }
  }
  return out;
}

Result<std::string> checked(std::string text, std::string_view name) {
  const auto parsed = parse_sources(text, name);
  if (!parsed.ok()) return parsed.error();
  return text;
}

}  // namespace

std::string source_text(const Source& s) {
  std::string out = "{\n";
  const auto line = [&out](std::string_view key, const std::string& value) {
    out += fmt::format("  \"{}\": {},\n", key, value);
  };
  line("id", json_quote(s.id));
  line("title", json_quote(s.title));
  line("url", json_quote(s.url));
  line("publisher", json_quote(s.publisher));
  line("kind", json_quote(s.kind));
  line("primary", s.primary ? "true" : "false");
  if (!s.published.empty()) line("published", json_quote(s.published));
  line("accessed", json_quote(s.accessed));
  line("verified", s.verified ? "true" : "false");
  std::string topics;
  for (const std::string& t : s.topics)
    topics += fmt::format("{}{}", topics.empty() ? "" : ", ", json_quote(t));
  line("topics", "[" + topics + "]");
  std::string claims;
  for (const SourceClaim& c : s.claims)
    claims += fmt::format("{}{}", claims.empty() ? "\n" : ",\n", claim_text(c));
  line("claims", claims.empty() ? "[]" : "[" + claims + "\n  ]");
  if (!s.note.empty()) line("note", json_quote(s.note));
  return out + fmt::format("  \"review_by\": {}\n}}", json_quote(s.review_by));
}

Result<std::string> append_source(std::string_view text, std::string_view name,
                                  const Source& source) {
  if (text.empty()) return checked("[\n" + source_text(source) + "\n]\n", name);
  WEIR_ASSIGN(const Sources old, parse_sources(text, name));
  const size_t close = text.rfind(']');
  size_t end = close;  // of what stands before the bracket, without white space
  while (end > 0 && std::string_view(" \t\r\n").find(text[end - 1]) != std::string_view::npos)
    --end;
  std::string out(text.substr(0, end));
  out += old.all.empty() ? "\n" : ",\n";
  out += source_text(source) + "\n";
  return checked(out + std::string(text.substr(close)), name);
}

Result<std::string> replace_source(std::string_view text, std::string_view name,
                                   const Source& source) {
  WEIR_ASSIGN(const Sources old, parse_sources(text, name));
  const auto spans = object_spans(text);
  for (size_t i = 0; i < old.all.size(); ++i) {
    if (old.all[i].id != source.id) continue;
    std::string out(text);
    out.replace(spans[i].first, spans[i].second - spans[i].first, source_text(source));
    return checked(out, name);
  }
  return make_error(ErrorCode::kNotFound, "{} has no source {}", name, source.id);
}

}  // namespace weir::ops
