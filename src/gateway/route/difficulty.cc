#include "gateway/route/difficulty.h"

#include <algorithm>
#include <cmath>

#include "text/json.h"

namespace weir::gateway {

using text::Json;

namespace {

constexpr std::string_view kFormat = "weir-difficulty-1";
constexpr std::array<std::string_view, kDifficultyFeatures> kFeatureNames = {
    "log_bytes", "log_lines",      "code_fences", "digit_share", "symbol_share",
    "non_ascii", "question_marks", "asks_why",    "log_turns",   "log_bytes_before",
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Words that ask for reasoning rather than for a fact.
bool asks_why(std::string_view word) {
  constexpr std::array<std::string_view, 14> kWords = {
      "why",   "how",     "explain",  "prove",  "derive",   "compare", "analyze",
      "debug", "analyse", "optimize", "design", "evaluate", "solve",   "refactor"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

size_t count_reasons(std::string_view text) {
  constexpr size_t kLongest = 8;
  size_t count = 0;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && is_letter(text[i])) {
      if (word.size() <= kLongest) word += static_cast<char>(text[i] | 0x20);
      continue;
    }
    count += asks_why(word) ? 1 : 0;
    word.clear();
  }
  return count;
}

size_t count_fences(std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find("```"); at != std::string_view::npos; at = text.find("```", at + 3))
    ++count;
  return count;
}

double capped(size_t n, size_t most) { return static_cast<double>(std::min(n, most)); }

bool read_number(const Json& o, std::string_view key, double& out) {
  const Json* v = o.find(key);
  if (v == nullptr || !v->is_number() || !std::isfinite(v->as_double())) return false;
  out = v->as_double();
  return true;
}

Status read_feature(const Json& o, size_t i, DifficultyModel& model) {
  const Json* name = o.find("name");
  if (name == nullptr || !name->is_string() || name->as_string() != kFeatureNames[i]) {
    return make_error(ErrorCode::kUnsupported, "features[{}] is not {}: of another version of weir",
                      i, kFeatureNames[i]);
  }
  if (!read_number(o, "mean", model.mean[i]) || !read_number(o, "scale", model.scale[i]) ||
      !read_number(o, "weight", model.weight[i]) || !(model.scale[i] > 0)) {
    return make_error(ErrorCode::kCorrupt,
                      "features[{}] needs the numbers mean, scale (above 0) and weight", i);
  }
  return {};
}

}  // namespace

std::span<const std::string_view> difficulty_feature_names() { return kFeatureNames; }

DifficultyFeatures difficulty_features(std::string_view text, int turns_before,
                                       size_t bytes_before) {
  size_t lines = 0;
  size_t digits = 0;
  size_t symbols = 0;
  size_t non_ascii = 0;
  size_t questions = 0;
  for (const char c : text) {
    lines += c == '\n' ? 1 : 0;
    digits += c >= '0' && c <= '9' ? 1 : 0;
    non_ascii += static_cast<unsigned char>(c) >= 0x80 ? 1 : 0;
    questions += c == '?' ? 1 : 0;
    symbols += std::string_view("{}[]()<>=+-*/\\^_$%&|;").find(c) != std::string_view::npos ? 1 : 0;
  }
  const auto bytes = static_cast<double>(std::max<size_t>(text.size(), 1));
  const auto share = [&](size_t n) { return static_cast<double>(n) / bytes; };
  return {std::log1p(static_cast<double>(text.size())),
          std::log1p(static_cast<double>(lines)),
          capped(count_fences(text), 4),
          share(digits),
          share(symbols),
          share(non_ascii),
          capped(questions, 5),
          capped(count_reasons(text), 5),
          std::log1p(static_cast<double>(std::max(turns_before, 0))),
          std::log1p(static_cast<double>(bytes_before))};
}

double DifficultyModel::predict(const DifficultyFeatures& features) const {
  double z = bias;
  for (size_t i = 0; i < kDifficultyFeatures; ++i)
    z += weight[i] * (features[i] - mean[i]) / scale[i];
  return 1 / (1 + std::exp(-z));
}

std::string DifficultyModel::to_json() const {
  Json o = Json::object();
  o.set("format", kFormat);
  o.set("bias", bias);
  o.set("examples", examples);
  Json list = Json::array();
  for (size_t i = 0; i < kDifficultyFeatures; ++i) {
    Json f = Json::object();
    f.set("name", kFeatureNames[i]);
    f.set("mean", mean[i]);
    f.set("scale", scale[i]);
    f.set("weight", weight[i]);
    list.push_back(std::move(f));
  }
  o.set("features", std::move(list));
  return o.dump({.indent = 2}) + "\n";
}

Result<DifficultyModel> DifficultyModel::parse(std::string_view json) {
  WEIR_ASSIGN(const Json o, Json::parse(json));
  const Json* format = o.find("format");
  if (format == nullptr || !format->is_string() || format->as_string() != kFormat)
    return make_error(ErrorCode::kUnsupported, "format is not {}", kFormat);
  DifficultyModel model;
  const Json* examples = o.find("examples");
  if (!read_number(o, "bias", model.bias) || examples == nullptr || !examples->is_int())
    return make_error(ErrorCode::kCorrupt, "needs the numbers bias and examples");
  model.examples = examples->as_int();
  const Json* list = o.find("features");
  if (list == nullptr || !list->is_array() || list->size() != kDifficultyFeatures) {
    return make_error(ErrorCode::kUnsupported, "features is not a list of {}: of another version",
                      kDifficultyFeatures);
  }
  for (size_t i = 0; i < kDifficultyFeatures; ++i)
    WEIR_TRY(read_feature(list->items()[i], i, model));
  return model;
}

}  // namespace weir::gateway
