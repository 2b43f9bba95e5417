#include "ops/trace/dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "text/ascii_lower.h"
#include "text/json.h"

namespace weir::ops {

using text::Json;

namespace {

// Takes a line without its end; false at the end of the text.
bool take_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  const size_t end = std::min(text.find('\n'), text.size());
  line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// Fields of a line of CSV; quotes around a field are taken off. The traces quote nothing that holds
// a comma.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = std::min(line.find(','), line.size());
    std::string_view field = trim(line.substr(0, end));
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
      field = field.substr(1, field.size() - 2);
    out.push_back(field);
    if (end == line.size()) return out;
    line.remove_prefix(end + 1);
  }
}

template <typename T>
bool read_number(std::string_view text, T& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc() && end == text.data() + text.size();
}

// Days from 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant, "chrono-Compatible
// Low-Level Date Algorithms", days_from_civil.
int64_t days_of(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

// "2023-11-16 18:17:03.9799600", with 'T' for the blank, and with an offset ("+00:00" or "Z") that
// is the same in all lines and therefore left out.
std::optional<double> read_date(std::string_view t) {
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  int64_t hour = 0;
  int64_t minute = 0;
  double second = 0;
  constexpr size_t kSecondsAt = 17;
  if (t.size() < kSecondsAt + 2 || t[4] != '-' || t[7] != '-' || (t[10] != ' ' && t[10] != 'T') ||
      t[13] != ':' || t[16] != ':')
    return std::nullopt;
  const size_t end = std::min(t.find_first_of("+-Z", kSecondsAt), t.size());
  const bool ok = read_number(t.substr(0, 4), year) && read_number(t.substr(5, 2), month) &&
                  read_number(t.substr(8, 2), day) && read_number(t.substr(11, 2), hour) &&
                  read_number(t.substr(14, 2), minute) &&
                  read_number(t.substr(kSecondsAt, end - kSecondsAt), second);
  if (!ok || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || !(second >= 0 && second < 61))
    return std::nullopt;
  return static_cast<double>((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

// Seconds: a number, or a date.
std::optional<double> read_time(std::string_view text) {
  double s = 0;
  if (read_number(text, s) && std::isfinite(s)) return s;
  return read_date(text);
}

struct Columns {
  size_t time = 0;
  size_t prompt = 0;
  size_t output = 0;
  const char* format = "";
};

Result<Columns> columns_of(std::string_view header) {
  struct Known {
    const char* format;
    const char* time;
    const char* prompt;
    const char* output;
  };
  constexpr Known kKnown[] = {
      {"azure", "timestamp", "contexttokens", "generatedtokens"},
      {"burstgpt", "timestamp", "request tokens", "response tokens"},
  };
  std::vector<std::string> names;
  for (const std::string_view f : fields_of(header)) names.push_back(text::ascii_lower(f));
  const auto find = [&](const char* name) {
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  for (const Known& k : kKnown) {
    const Columns c{find(k.time), find(k.prompt), find(k.output), k.format};
    if (std::max({c.time, c.prompt, c.output}) < names.size()) return c;
  }
  return make_error(ErrorCode::kUnsupported,
                    "line 1: not the header of a known trace; there are TIMESTAMP,ContextTokens,"
                    "GeneratedTokens (Azure) and Timestamp,Request tokens,Response tokens "
                    "(BurstGPT), or JSON lines");
}

bool valid_tokens(int64_t n) { return n >= 0 && n <= INT32_MAX; }

Result<Dataset> parse_csv(std::string_view text, const DatasetLimits& limits) {
  Dataset out;
  std::string_view line;
  take_line(text, line);
  WEIR_ASSIGN(const Columns c, columns_of(line));
  out.format = c.format;
  for (size_t number = 2; take_line(text, line); ++number) {
    if (trim(line).empty()) continue;
    const auto fields = fields_of(line);
    if (fields.size() <= std::max({c.time, c.prompt, c.output})) {
      return make_error(ErrorCode::kCorrupt, "line {}: {} fields, fewer than the header names",
                        number, fields.size());
    }
    const std::optional<double> at = read_time(fields[c.time]);
    if (!at.has_value()) {
      return make_error(ErrorCode::kCorrupt, "line {}: the time is neither seconds nor a date",
                        number);
    }
    int64_t prompt = 0;
    int64_t output = 0;
    if (!read_number(fields[c.prompt], prompt) || !read_number(fields[c.output], output) ||
        !valid_tokens(prompt) || !valid_tokens(output)) {
      return make_error(ErrorCode::kCorrupt, "line {}: a count of tokens is not a number", number);
    }
    if (output == 0) {
      ++out.skipped;
      continue;
    }
    if (out.rows.size() >= limits.rows)
      return make_error(ErrorCode::kLimit, "more than {} rows", limits.rows);
    DatasetRow row;
    row.at_s = *at;
    row.prompt_tokens = static_cast<int32_t>(prompt);
    row.output_tokens = static_cast<int32_t>(output);
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::optional<int64_t> int_of(const Json& o, std::string_view key) {
  const Json* v = o.find(key);
  if (v == nullptr || !v->is_number()) return std::nullopt;
  if (v->is_int()) return v->as_int();
  return std::isfinite(v->as_double()) && std::abs(v->as_double()) < 1e15
             ? std::optional<int64_t>(static_cast<int64_t>(v->as_double()))
             : std::nullopt;
}

// {"timestamp":ms, "input_length", "output_length", "hash_ids"}
Status add_mooncake(const Json& o, Dataset& out, const DatasetLimits& limits) {
  const auto ms = int_of(o, "timestamp");
  const auto input = int_of(o, "input_length");
  const auto output = int_of(o, "output_length");
  if (!ms || !input || !output || !valid_tokens(*input) || !valid_tokens(*output)) {
    return make_error(ErrorCode::kCorrupt,
                      "needs the numbers timestamp, input_length and output_length");
  }
  DatasetRow row;
  row.at_s = static_cast<double>(*ms) * 1e-3;
  row.prompt_tokens = static_cast<int32_t>(*input);
  row.output_tokens = static_cast<int32_t>(*output);
  row.first_block = static_cast<uint32_t>(out.blocks.size());
  if (const Json* ids = o.find("hash_ids"); ids != nullptr && ids->is_array()) {
    for (const Json& id : ids->items()) {
      if (!id.is_int()) return make_error(ErrorCode::kCorrupt, "hash_ids holds no integers");
      out.blocks.push_back(static_cast<uint64_t>(id.as_int()));
    }
    row.block_count = static_cast<uint32_t>(ids->size());
  }
  if (out.blocks.size() > limits.blocks)
    return make_error(ErrorCode::kLimit, "more than {} blocks of prompts", limits.blocks);
  if (row.output_tokens == 0) {
    ++out.skipped;
    out.blocks.resize(row.first_block);
    return {};
  }
  out.rows.push_back(std::move(row));
  return {};
}

Status add_prompt(const Json& o, Dataset& out) {
  DatasetRow row;
  const Json* prompt = o.find("prompt");
  const Json* messages = o.find("messages");
  if (prompt != nullptr && prompt->is_string() && messages == nullptr) {
    row.prompt = prompt->as_string();
  } else if (messages != nullptr && messages->is_array() && messages->size() > 0 &&
             prompt == nullptr) {
    row.messages = messages->dump();
  } else {
    return make_error(ErrorCode::kCorrupt,
                      R"(is neither {{"prompt":"..."}} nor {{"messages":[...]}})");
  }
  const int64_t output = int_of(o, "output_tokens").value_or(int_of(o, "max_tokens").value_or(0));
  if (!valid_tokens(output))
    return make_error(ErrorCode::kCorrupt, "output_tokens is not a count of tokens");
  row.output_tokens = static_cast<int32_t>(output);
  out.rows.push_back(std::move(row));
  return {};
}

Result<Dataset> parse_jsonl(std::string_view text, const DatasetLimits& limits) {
  Dataset out;
  std::string_view line;
  bool first = true;
  for (size_t number = 1; take_line(text, line); ++number) {
    if (trim(line).empty()) continue;
    const Result<Json> o = Json::parse(line);
    if (!o.ok()) return o.error().with_context(fmt::format("line {}", number));
    if (!o->is_object())
      return make_error(ErrorCode::kCorrupt, "line {}: is not a JSON object", number);
    if (first && o->find("timestamp") == nullptr) out.kind = Dataset::Kind::kPrompts;
    first = false;
    if (out.rows.size() >= limits.rows)
      return make_error(ErrorCode::kLimit, "more than {} rows", limits.rows);
    const Status ok =
        out.kind == Dataset::Kind::kPrompts ? add_prompt(*o, out) : add_mooncake(*o, out, limits);
    if (!ok.ok()) return ok.error().with_context(fmt::format("line {}", number));
  }
  out.format = out.kind == Dataset::Kind::kPrompts ? "prompts" : "mooncake";
  return out;
}

}  // namespace

double mean_rate(const Dataset& trace) {
  const double span_s = trace.rows.back().at_s;
  return span_s > 0 ? static_cast<double>(trace.rows.size() - 1) / span_s : 0;
}

Result<Dataset> parse_dataset(std::string_view text, const DatasetLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return make_error(ErrorCode::kCorrupt, "the file is empty");
  Result<Dataset> out =
      text[begin] == '{' ? parse_jsonl(text, limits) : parse_csv(text.substr(begin), limits);
  if (!out.ok()) return out;
  if (out->rows.empty()) return make_error(ErrorCode::kCorrupt, "the file has no rows");
  if (out->kind == Dataset::Kind::kPrompts) return out;
  std::stable_sort(out->rows.begin(), out->rows.end(),
                   [](const DatasetRow& a, const DatasetRow& b) { return a.at_s < b.at_s; });
  const double start_s = out->rows.front().at_s;
  for (DatasetRow& row : out->rows) row.at_s -= start_s;
  return out;
}

}  // namespace weir::ops
