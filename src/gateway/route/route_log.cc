#include "gateway/route/route_log.h"

#include <fmt/format.h>

#include <cmath>

#include "gateway/question.h"
#include "text/json.h"

namespace weir::gateway {
namespace {

using text::Json;

class LineReader {
 public:
  LineReader(const Json& line, std::string_view name, size_t number)
      : line_(line), name_(name), number_(number) {}

  Error wrong(std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, number_, what);
  }

  Status read(RouteLog& log) const {
    if (!line_.is_object())
      return wrong(fmt::format("must be an object, not {}", line_.type_name()));
    RoutedItem item;
    WEIR_TRY(score("small_score", item.small_quality));
    WEIR_TRY(score("large_score", item.large_quality));
    WEIR_ASSIGN(const bool small, cost("small_cost", item.small_cost));
    WEIR_ASSIGN(const bool large, cost("large_cost", item.large_cost));
    log.with_costs = log.with_costs && small && large;
    const Json* prompt = line_.find("prompt");
    const Json* messages = line_.find("messages");
    if ((prompt != nullptr) == (messages != nullptr))
      return wrong("needs prompt or messages, one of them");
    if (prompt != nullptr && !prompt->is_string())
      return wrong(fmt::format("prompt must be a text, not {}", prompt->type_name()));
    if (messages != nullptr && !messages->is_array())
      return wrong(fmt::format("messages must be a list, not {}", messages->type_name()));
    const Question q = read_question(line_);
    if (q.text.empty()) return wrong("there is no text of a user");
    log.features.push_back(difficulty_features(q.text, q.turns_before, q.before.size()));
    log.items.push_back(item);
    return {};
  }

 private:
  Status score(std::string_view key, double& out) const {
    const Json* value = line_.find(key);
    if (value != nullptr && value->is_number() && value->as_double() >= 0 &&
        value->as_double() <= 1) {
      out = value->as_double();
      return {};
    }
    return wrong(fmt::format("{} {}", key,
                             value == nullptr ? "is missing" : "must be a number from 0 to 1"));
  }

  // Whether there is one.
  Result<bool> cost(std::string_view key, double& out) const {
    const Json* value = line_.find(key);
    if (value == nullptr) return false;
    if (!value->is_number() || !(value->as_double() >= 0) || !std::isfinite(value->as_double()))
      return wrong(fmt::format("{} must be a number, at least 0", key));
    out = value->as_double();
    return true;
  }

  const Json& line_;
  std::string_view name_;
  size_t number_;
};

}  // namespace

Result<RouteLog> parse_route_log(std::string_view text, std::string_view name) {
  RouteLog log;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (log.items.size() == RouteLog::kMaxLines)
      return make_error(ErrorCode::kLimit, "{}: more than {} lines", name, RouteLog::kMaxLines);
    const auto json = Json::parse(line);
    if (!json.ok())
      return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name, number, json.error().message);
    WEIR_TRY(LineReader(*json, name, number).read(log));
  }
  if (log.items.empty())
    return make_error(
        ErrorCode::kCorrupt,
        "{}:1: there are no lines; each is a JSON object with prompt, small_score and "
        "large_score",
        name);
  return log;
}

std::vector<DifficultyExample> difficulty_examples(const RouteLog& log, double tolerance) {
  std::vector<DifficultyExample> out;
  out.reserve(log.items.size());
  for (size_t i = 0; i < log.items.size(); ++i) {
    const RoutedItem& item = log.items[i];
    out.push_back({log.features[i], item.small_quality >= item.large_quality - tolerance});
  }
  return out;
}

std::vector<RoutedItem> routed_by(const DifficultyModel& model, const RouteLog& log) {
  std::vector<RoutedItem> out = log.items;
  for (size_t i = 0; i < out.size(); ++i) out[i].small_suffices = model.predict(log.features[i]);
  return out;
}

Result<std::vector<RoutedItem>> routed_held_out(const RouteLog& log, double tolerance,
                                                const DifficultyTraining& training, size_t folds) {
  const std::vector<DifficultyExample> all = difficulty_examples(log, tolerance);
  std::vector<RoutedItem> out = log.items;
  for (size_t fold = 0; fold < folds; ++fold) {
    std::vector<DifficultyExample> others;
    for (size_t i = 0; i < all.size(); ++i)
      if (i % folds != fold) others.push_back(all[i]);
    WEIR_ASSIGN(const DifficultyModel model, train_difficulty(others, training));
    for (size_t i = fold; i < all.size(); i += folds)
      out[i].small_suffices = model.predict(log.features[i]);
  }
  return out;
}

}  // namespace weir::gateway
