#include "ops/eval/result.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "ops/eval/windows.h"
#include "os/file.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

using text::Json;

constexpr std::string_view kFormat = "weir-eval/1";

std::string clean(std::string_view s, size_t max) {
  const std::string valid = text::replace_invalid_utf8(s);
  return std::string(text::cut_utf8(valid, max));
}

Json scores_json(const EvalScores& scores) {
  Json j = Json::object();
  for (const auto& [name, value] : scores) j.set(clean(name, EvalLimits::kNameBytes), value);
  return j;
}

Json item_json(const EvalItem& item) {
  Json j = Json::object();
  j.set("id", clean(item.id, EvalLimits::kNameBytes));
  j.set("scores", scores_json(item.scores));
  const auto put = [&j](const char* key, const std::string& s) {
    if (!s.empty()) j.set(key, written_text(s));
  };
  put("prompt", item.prompt);
  put("expected", item.expected);
  put("answer", item.answer);
  if (!item.hash.empty()) j.set("hash", item.hash);
  return j;
}

Json task_json(const EvalTask& task) {
  Json j = Json::object();
  j.set("name", clean(task.name, EvalLimits::kNameBytes));
  j.set("kind", task.kind);
  j.set("metric", clean(task.metric, EvalLimits::kNameBytes));
  j.set("higher_is_better", task.higher_is_better);
  j.set("value", task.value);
  j.set("error", task.error);
  if (!task.summary.empty()) j.set("summary", scores_json(task.summary));
  if (!task.histogram.counts.empty()) {
    Json edges = Json::array();
    for (const double edge : task.histogram.edges) edges.push_back(edge);
    Json counts = Json::array();
    for (const int64_t count : task.histogram.counts) counts.push_back(count);
    Json& h = j.set("histogram", Json::object());
    h.set("name", clean(task.histogram.name, EvalLimits::kNameBytes));
    h.set("edges", std::move(edges));
    h.set("counts", std::move(counts));
  }
  Json items = Json::array();
  for (const EvalItem& item : task.items) items.push_back(item_json(item));
  j.set("items", std::move(items));
  return j;
}

// A value and the path to it, for messages.
class At {
 public:
  At(const Json* value, std::string path) : value_(value), path_(std::move(path)) {}

  const Json* json() const { return value_; }
  bool present() const { return value_ != nullptr; }
  At operator[](std::string_view key) const {
    return {
        value_ != nullptr ? value_->find(key) : nullptr,
        path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, text::cut_utf8(key, 64))};
  }
  At operator[](size_t i) const { return {&value_->items()[i], fmt::format("{}[{}]", path_, i)}; }
  Error wrong(std::string_view must) const {
    return make_error(ErrorCode::kCorrupt,
                      "{} must be {}, not {}; write the file anew with weir eval",
                      path_.empty() ? "the file" : path_, must,
                      value_ == nullptr ? "absent" : value_->type_name());
  }
  Error bad(std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{} {}; write the file anew with weir eval", path_,
                      what);
  }
  Result<std::string> string(size_t max, bool required) const {
    if (value_ == nullptr && !required) return std::string();
    if (value_ == nullptr || !value_->is_string()) return wrong("a string");
    if (value_->as_string().size() > max) {
      return bad(fmt::format("has {} bytes, more than {}", value_->as_string().size(), max));
    }
    if (required && value_->as_string().empty()) return bad("is empty");
    return value_->as_string();
  }
  Result<double> number() const {
    if (value_ == nullptr || !value_->is_number()) return wrong("a finite number");
    const double v = value_->as_double();
    if (!std::isfinite(v)) return bad("is not finite");
    return v;
  }
  Result<int64_t> count() const {
    if (value_ == nullptr || !value_->is_int() || value_->as_int() < 0) {
      return wrong("an integer of at least 0");
    }
    return value_->as_int();
  }
  // Items of an array, members of an object.
  Result<size_t> size(bool array, size_t max) const {
    if (value_ == nullptr || (array ? !value_->is_array() : !value_->is_object())) {
      return wrong(array ? "an array" : "an object");
    }
    if (value_->size() > max) {
      return bad(fmt::format("has {} entries, more than {}", value_->size(), max));
    }
    return value_->size();
  }

 private:
  const Json* value_;
  std::string path_;
};

Result<EvalScores> read_scores(const At& at) {
  EvalScores scores;
  WEIR_ASSIGN(const size_t count, at.size(false, EvalLimits::kScores));
  scores.reserve(count);
  for (const auto& [name, value] : at.json()->members()) {
    if (name.empty() || name.size() > EvalLimits::kNameBytes) {
      return at.bad(fmt::format("has a name of {} bytes; 1 to {} are allowed", name.size(),
                                EvalLimits::kNameBytes));
    }
    WEIR_ASSIGN(const double score, at[name].number());
    if (std::abs(score) > EvalLimits::kScore)
      return at[name].bad(fmt::format("is {}, beyond ±{}", score, EvalLimits::kScore));
    scores.emplace_back(name, score);
  }
  return scores;
}

Result<EvalItem> read_item(const At& at) {
  if (!at.json()->is_object()) return at.wrong("an object");
  EvalItem item;
  WEIR_ASSIGN(item.id, at["id"].string(EvalLimits::kNameBytes, true));
  WEIR_ASSIGN(item.scores, read_scores(at["scores"]));
  WEIR_ASSIGN(item.prompt, at["prompt"].string(EvalLimits::kTextBytes, false));
  WEIR_ASSIGN(item.expected, at["expected"].string(EvalLimits::kTextBytes, false));
  WEIR_ASSIGN(item.answer, at["answer"].string(EvalLimits::kTextBytes, false));
  WEIR_ASSIGN(item.hash, at["hash"].string(EvalLimits::kNameBytes, false));
  return item;
}

Result<EvalHistogram> read_histogram(const At& at) {
  EvalHistogram h;
  if (!at.present()) return h;
  WEIR_ASSIGN(h.name, at["name"].string(EvalLimits::kNameBytes, true));
  WEIR_ASSIGN(const size_t bins, at["counts"].size(true, EvalLimits::kBins));
  WEIR_ASSIGN(const size_t edges, at["edges"].size(true, EvalLimits::kBins + 1));
  if (bins == 0 || edges != bins + 1) {
    return at.bad(fmt::format("has {} counts and {} edges; edges are one more", bins, edges));
  }
  for (size_t i = 0; i < edges; ++i) {
    WEIR_ASSIGN(const double edge, at["edges"][i].number());
    if (i > 0 && !(edge > h.edges.back())) return at["edges"][i].bad("does not ascend");
    h.edges.push_back(edge);
  }
  for (size_t i = 0; i < bins; ++i) {
    WEIR_ASSIGN(const int64_t count, at["counts"][i].count());
    h.counts.push_back(count);
  }
  return h;
}

Status read_items(const At& at, EvalTask& task) {
  WEIR_ASSIGN(const size_t count, at["items"].size(true, EvalLimits::kItems));
  std::unordered_set<std::string> ids;
  task.items.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const At entry = at["items"][i];
    WEIR_ASSIGN(EvalItem item, read_item(entry));
    if (!ids.insert(item.id).second) return entry["id"].bad("stands twice");
    if (item.score(task.metric) == nullptr) {
      return entry["scores"].bad(fmt::format("lacks the task's metric {}", task.metric));
    }
    task.items.push_back(std::move(item));
  }
  return {};
}

Result<EvalTask> read_task(const At& at) {
  if (!at.json()->is_object()) return at.wrong("an object");
  EvalTask task;
  WEIR_ASSIGN(task.name, at["name"].string(EvalLimits::kNameBytes, true));
  WEIR_ASSIGN(task.kind, at["kind"].string(EvalLimits::kNameBytes, true));
  const auto& kinds = eval_task_kinds();
  if (std::find(kinds.begin(), kinds.end(), task.kind) == kinds.end()) {
    return at["kind"].bad(fmt::format("is none of {}", fmt::join(kinds, ", ")));
  }
  WEIR_ASSIGN(task.metric, at["metric"].string(EvalLimits::kNameBytes, true));
  const At better = at["higher_is_better"];
  if (!better.present() || !better.json()->is_bool()) return better.wrong("true or false");
  task.higher_is_better = better.json()->as_bool();
  WEIR_ASSIGN(task.value, at["value"].number());
  WEIR_ASSIGN(task.error, at["error"].number());
  if (task.error < 0) return at["error"].bad("is negative");
  if (at["summary"].present()) {
    WEIR_ASSIGN(task.summary, read_scores(at["summary"]));
  }
  WEIR_ASSIGN(task.histogram, read_histogram(at["histogram"]));
  WEIR_TRY(read_items(at, task));
  return task;
}

Status read_head(const At& root, EvalRun& run) {
  const At model = root["model"];
  WEIR_ASSIGN(run.model.name, model["name"].string(EvalLimits::kNameBytes, true));
  WEIR_ASSIGN(run.model.where, model["where"].string(EvalLimits::kNameBytes, true));
  if (run.model.where != "local" && run.model.where != "url") {
    return model["where"].bad("is neither local nor url");
  }
  WEIR_ASSIGN(run.model.identity, model["identity"].string(EvalLimits::kNameBytes, false));
  WEIR_ASSIGN(run.model.vocabulary, model["vocabulary"].string(EvalLimits::kNameBytes, false));
  WEIR_ASSIGN(run.suite_name, root["suite"]["name"].string(EvalLimits::kNameBytes, false));
  WEIR_ASSIGN(run.suite_hash, root["suite"]["hash"].string(EvalLimits::kNameBytes, false));
  WEIR_ASSIGN(const int64_t seed, root["seed"].count());
  run.seed = static_cast<uint64_t>(seed);
  if (root["params"].present()) {
    if (!root["params"].json()->is_object()) return root["params"].wrong("an object");
    run.params = *root["params"].json();
  }
  return {};
}

Status read_cost(const At& root, EvalRun& run) {
  if (const At speed = root["speed"]; speed.present()) {
    WEIR_ASSIGN(run.speed.seconds, speed["seconds"].number());
    WEIR_ASSIGN(run.speed.prompt_tokens, speed["prompt_tokens"].count());
    WEIR_ASSIGN(run.speed.generated_tokens, speed["generated_tokens"].count());
    WEIR_ASSIGN(run.speed.tokens_per_s, speed["tok_s"].number());
  }
  if (const At memory = root["memory"]; memory.present()) {
    WEIR_ASSIGN(const int64_t bytes, memory["peak_rss_bytes"].count());
    run.peak_rss_bytes = static_cast<uint64_t>(bytes);
  }
  if (root["cached_items"].present()) {
    WEIR_ASSIGN(run.cached_items, root["cached_items"].count());
  }
  return {};
}

}  // namespace

std::string written_text(std::string_view text) { return clean(text, EvalLimits::kTextBytes); }

const double* EvalItem::score(std::string_view name) const {
  for (const auto& [key, value] : scores) {
    if (key == name) return &value;
  }
  return nullptr;
}

const EvalTask* EvalRun::task(std::string_view name) const {
  for (const EvalTask& t : tasks) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

const std::vector<std::string>& eval_task_kinds() {
  static const std::vector<std::string> kinds = {"multiple_choice", "generate",    "tool_calls",
                                                 "retrieval",       "determinism", "refusal",
                                                 "perplexity",      "kl",          "code"};
  return kinds;
}

std::string to_json(const EvalRun& run) {
  Json root = Json::object();
  root.set("format", kFormat);
  Json& model = root.set("model", Json::object());
  model.set("name", clean(run.model.name, EvalLimits::kNameBytes));
  model.set("where", run.model.where);
  model.set("identity", run.model.identity);
  model.set("vocabulary", run.model.vocabulary);
  Json& suite = root.set("suite", Json::object());
  suite.set("name", clean(run.suite_name, EvalLimits::kNameBytes));
  suite.set("hash", run.suite_hash);
  root.set("seed", static_cast<int64_t>(run.seed));
  root.set("params", run.params);
  Json tasks = Json::array();
  for (const EvalTask& task : run.tasks) tasks.push_back(task_json(task));
  root.set("tasks", std::move(tasks));
  Json& speed = root.set("speed", Json::object());
  speed.set("seconds", run.speed.seconds);
  speed.set("prompt_tokens", run.speed.prompt_tokens);
  speed.set("generated_tokens", run.speed.generated_tokens);
  speed.set("tok_s", run.speed.tokens_per_s);
  Json& memory = root.set("memory", Json::object());
  memory.set("peak_rss_bytes", static_cast<int64_t>(run.peak_rss_bytes));
  if (run.cached_items > 0) root.set("cached_items", run.cached_items);
  return root.dump();
}

Result<EvalRun> parse_eval_run(std::string_view json) {
  if (json.size() > EvalLimits::kFileBytes) {
    return make_error(ErrorCode::kLimit, "a result of {} bytes is over the limit of {}",
                      json.size(), EvalLimits::kFileBytes);
  }
  auto parsed = Json::parse(json, {.max_depth = 32, .max_values = EvalLimits::kValues});
  if (!parsed.ok()) {
    return make_error(ErrorCode::kCorrupt, "not a result of weir eval: {}", parsed.error().message);
  }
  const At root(&*parsed, "");
  if (!parsed->is_object()) return root.wrong("an object");
  WEIR_ASSIGN(const std::string format, root["format"].string(EvalLimits::kNameBytes, true));
  if (format != kFormat) {
    return make_error(ErrorCode::kUnsupported, "format is {}; this weir reads {}", format, kFormat);
  }
  EvalRun run;
  WEIR_TRY(read_head(root, run));
  WEIR_ASSIGN(const size_t tasks, root["tasks"].size(true, EvalLimits::kTasks));
  for (size_t i = 0; i < tasks; ++i) {
    const At at = root["tasks"][i];
    WEIR_ASSIGN(EvalTask task, read_task(at));
    if (run.task(task.name) != nullptr) return at["name"].bad("stands twice");
    run.tasks.push_back(std::move(task));
  }
  WEIR_TRY(read_cost(root, run));
  return run;
}

Status write_eval_run(const std::string& path, const EvalRun& run) {
  return os::write_file_atomic(path, to_json(run) + "\n");
}

Result<EvalRun> read_eval_run(const std::string& path) {
  WEIR_ASSIGN(const std::string text, os::read_file(path, EvalLimits::kFileBytes));
  auto run = parse_eval_run(text);
  if (!run.ok()) return run.error().with_context(path);
  return run;
}

Result<std::optional<double>> recorded_overlap(const EvalRun& run) {
  const Json* share = run.params.find(kOverlapParam);
  if (share == nullptr) return std::optional<double>();
  if (!share->is_number() || !(share->as_double() >= 0 && share->as_double() <= 1)) {
    return make_error(ErrorCode::kCorrupt, "params.{} is no share from 0 to 1", kOverlapParam);
  }
  return std::optional(share->as_double());
}

}  // namespace weir::ops
