#include "text/prometheus_text.h"
#include "text/ascii_lower.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace weir::text {
namespace {

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::optional<double> read_value(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const std::string lower = ascii_lower(text);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (lower == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (lower == "inf" || lower == "infinity") return kInfinity;
  if (lower == "-inf" || lower == "-infinity") return -kInfinity;
  double v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return v;
}

// One line: NAME [{LABEL="VALUE",…}] NUMBER [TIMESTAMP] [# EXEMPLAR].
class LineReader {
 public:
  LineReader(std::string_view line, const PrometheusLimits& limits)
      : rest_(line), limits_(limits) {}

  Result<MetricSample> read() {
    MetricSample sample;
    WEIR_ASSIGN(sample.name, name("a metric's name"));
    skip_blanks();
    if (take('{')) WEIR_TRY(labels(sample));
    skip_blanks();
    const std::string_view number = word();
    const auto value = read_value(number);
    if (!value) return bad("the value of {} is not a number", sample.name);
    sample.value = *value;
    skip_blanks();
    if (!rest_.empty() && rest_.front() != '#' && !read_value(word()))
      return bad("the timestamp of {} is not a number", sample.name);
    skip_blanks();
    if (!rest_.empty() && rest_.front() != '#') return bad("there is more behind {}", sample.name);
    return sample;
  }

 private:
  template <typename... Args>
  static Error bad(fmt::format_string<Args...> format, Args&&... args) {
    return make_error(ErrorCode::kCorrupt, format, std::forward<Args>(args)...);
  }

  Result<std::string> name(std::string_view what) {
    size_t n = 0;
    if (!rest_.empty() && is_name_start(rest_.front())) {
      while (n < rest_.size() && is_name_part(rest_[n])) ++n;
    }
    if (n == 0) return bad("{} is missing", what);
    if (n > limits_.name_bytes)
      return make_error(ErrorCode::kLimit, "{} is longer than {} bytes", what, limits_.name_bytes);
    std::string out(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return out;
  }

  // Behind '{', up to and with '}'; a comma may stand before it.
  Status labels(MetricSample& sample) {
    for (;;) {
      skip_blanks();
      if (take('}')) return {};
      if (sample.labels.size() >= limits_.labels)
        return make_error(ErrorCode::kLimit, "more than {} labels", limits_.labels);
      WEIR_ASSIGN(std::string key, name("a label's name"));
      skip_blanks();
      if (!take('=')) return bad("label {} has no =", key);
      skip_blanks();
      WEIR_ASSIGN(std::string value, quoted(key));
      sample.labels.emplace_back(std::move(key), std::move(value));
      skip_blanks();
      if (take(',')) continue;
      if (take('}')) return {};
      return bad("behind a label neither , nor }}");
    }
  }

  Result<std::string> quoted(std::string_view key) {
    if (!take('"')) return bad("the value of label {} is not quoted", key);
    std::string out;
    for (size_t i = 0; i < rest_.size(); ++i) {
      if (i > limits_.value_bytes) {
        return make_error(ErrorCode::kLimit, "the value of label {} is longer than {} bytes", key,
                          limits_.value_bytes);
      }
      const char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        return out;
      }
      if (c != '\\') {
        out += c;
        continue;
      }
      if (++i == rest_.size()) break;
      // Other escapes stay as they are, as Prometheus keeps them.
      if (rest_[i] == 'n') {
        out += '\n';
      } else if (rest_[i] == '\\' || rest_[i] == '"') {
        out += rest_[i];
      } else {
        out += '\\';
        out += rest_[i];
      }
    }
    return bad("the value of label {} does not end", key);
  }

  std::string_view word() {
    size_t n = 0;
    while (n < rest_.size() && !is_blank(rest_[n])) ++n;
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  void skip_blanks() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
  const PrometheusLimits& limits_;
};

bool is_wanted(std::string_view line, std::span<const std::string_view> wanted) {
  size_t n = 0;
  while (n < line.size() && is_name_part(line[n])) ++n;
  return std::find(wanted.begin(), wanted.end(), line.substr(0, n)) != wanted.end();
}

}  // namespace

std::string_view MetricSample::label(std::string_view key) const {
  for (const auto& [k, v] : labels) {
    if (k == key) return v;
  }
  return "";
}

Result<std::vector<MetricSample>> parse_prometheus(std::string_view text,
                                                   const PrometheusLimits& limits,
                                                   std::span<const std::string_view> wanted) {
  if (text.size() > limits.text_bytes) {
    return make_error(ErrorCode::kLimit, "the metrics are {} bytes, more than {}", text.size(),
                      limits.text_bytes);
  }
  std::vector<MetricSample> out;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (is_blank(line.back()) || line.back() == '\r')) line.remove_suffix(1);
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    if (line.empty() || line.front() == '#') continue;
    if (!wanted.empty() && !is_wanted(line, wanted)) continue;
    if (out.size() >= limits.samples)
      return make_error(ErrorCode::kLimit, "more than {} samples", limits.samples);
    Result<MetricSample> sample = LineReader(line, limits).read();
    if (!sample.ok()) return sample.error().with_context(fmt::format("line {}", number));
    out.push_back(std::move(*sample));
  }
  return out;
}

}  // namespace weir::text
