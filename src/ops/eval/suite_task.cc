#include "ops/eval/suite_task.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "ops/eval/result.h"

namespace weir::ops {
namespace {

using config::Node;

const std::vector<std::string> kKinds = {"multiple_choice", "generate", "retrieval", "determinism",
                                         "code"};
const std::vector<std::string> kCommon = {"name", "kind", "file", "limit"};
const std::vector<std::string> kChoice = {"format", "metric", "few_shot", "examples"};
const std::vector<std::string> kGenerating = {"max_tokens", "stop", "chat", "instruction"};
const std::vector<std::string> kScored = {"format",    "answers", "scorer",  "ignore",
                                          "tolerance", "pattern", "patterns"};
const std::vector<std::string> kRetrieval = {"lengths", "depths", "needle", "question", "answer"};

const std::vector<std::string> kCode = {"format", "timeout_s", "memory_mb"};

std::vector<std::string> joined(std::initializer_list<const std::vector<std::string>*> lists) {
  std::vector<std::string> all;
  for (const auto* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

// One of the words, the first by default.
Status one_of(const YamlReader& reader, const Node& map, std::string_view key,
              const std::vector<std::string>& words, std::string& out) {
  WEIR_TRY(reader.text(map, key, out));
  if (out.empty()) out = words.front();
  if (std::find(words.begin(), words.end(), out) != words.end()) return {};
  return reader.at(map.find(key)->line, fmt::format("{} must be one of {}, not \"{}\"", key,
                                                    fmt::join(words, ", "), out));
}

Status read_choice(const YamlReader& reader, const Node& node, SuiteTask& task) {
  WEIR_TRY(reader.known(node, joined({&kCommon, &kChoice})));
  WEIR_TRY(one_of(reader, node, "format", {"jsonl", "hellaswag"}, task.format));
  WEIR_TRY(reader.integer(node, "few_shot", 0, SuiteLimits::kShots, task.few_shot));
  WEIR_TRY(reader.text(node, "examples", task.examples));
  if (!task.examples.empty() && task.few_shot == 0) {
    return reader.at(node.find("examples")->line,
                     "examples are of few_shot: say how many stand before each prompt");
  }
  return one_of(reader, node, "metric", {"acc_norm", "acc"}, task.metric);
}

Status read_generating(const YamlReader& reader, const Node& node, SuiteTask& task) {
  WEIR_TRY(reader.integer(node, "max_tokens", 1, SuiteLimits::kContextTokens, task.max_tokens));
  WEIR_TRY(reader.texts(node, "stop", SuiteLimits::kStops, task.stop));
  WEIR_TRY(reader.text(node, "instruction", task.instruction));
  WEIR_ASSIGN(const auto chat, reader.choice(node, "chat", "true", "false"));
  task.chat = chat.value_or(true);
  return {};
}

Status read_ignored(const YamlReader& reader, const Node& node, ScorerOptions& options) {
  std::vector<std::string> words;
  WEIR_TRY(reader.texts(node, "ignore", 3, words));
  for (const std::string& word : words) {
    if (word == "case") {
      options.ignore_case = true;
    } else if (word == "whitespace") {
      options.ignore_whitespace = true;
    } else if (word == "punctuation") {
      options.ignore_punctuation = true;
    } else {
      return reader.at(
          node.find("ignore")->line,
          fmt::format("ignore takes case, whitespace and punctuation, not \"{}\"", word));
    }
  }
  return {};
}

Status read_scorer(const YamlReader& reader, const Node& node, ScorerOptions& options) {
  if (node.find("scorer") == nullptr) {
    return reader.at(node.line,
                     fmt::format("scorer must be one of {}", fmt::join(scorer_names(), ", ")));
  }
  WEIR_TRY(one_of(reader, node, "scorer", scorer_names(), options.name));
  const auto only_of = [&](std::string_view key, std::string_view scorers) -> Status {
    if (node.find(key) == nullptr || scorers.find(options.name) != std::string_view::npos)
      return {};
    return reader.at(node.find(key)->line,
                     fmt::format("{} is an option of {}, not of {}", key, scorers, options.name));
  };
  WEIR_TRY(only_of("ignore", "exact and regex"));
  WEIR_TRY(only_of("tolerance", "numeric"));
  WEIR_TRY(only_of("pattern", "regex"));
  WEIR_TRY(only_of("patterns", "refusal"));
  WEIR_TRY(read_ignored(reader, node, options));
  WEIR_TRY(reader.number(node, "tolerance", 0, 1e300, options.tolerance));
  WEIR_TRY(reader.text(node, "pattern", options.pattern));
  WEIR_TRY(reader.texts(node, "patterns", SuiteLimits::kPatterns, options.patterns));
  const auto made = Scorer::make(options);
  if (made.ok()) return {};
  const Node* where = node.find(options.name == "regex" ? "pattern" : "patterns");
  return reader.at(where == nullptr ? node.line : where->line, made.error().message);
}

Status read_generate(const YamlReader& reader, const Node& node, SuiteTask& task) {
  WEIR_TRY(reader.known(node, joined({&kCommon, &kGenerating, &kScored})));
  task.metric = "acc";
  WEIR_TRY(read_generating(reader, node, task));
  WEIR_TRY(one_of(reader, node, "format", {"jsonl", "gsm8k", "bfcl"}, task.format));
  WEIR_TRY(read_scorer(reader, node, task.scorer));
  WEIR_TRY(reader.text(node, "answers", task.answers));
  const std::string& scorer = task.scorer.name;
  if (task.format == "bfcl" ? scorer != "tool_call" : !task.answers.empty()) {
    return reader.at(node.line, "format bfcl goes with scorer tool_call, and answers with bfcl");
  }
  if (task.format == "gsm8k" && scorer != "numeric") {
    return reader.at(node.line, "format gsm8k goes with scorer numeric");
  }
  return {};
}

Status read_retrieval(const YamlReader& reader, const Node& node, SuiteTask& task) {
  WEIR_TRY(reader.known(node, joined({&kCommon, &kGenerating, &kRetrieval})));
  task.metric = "acc";
  task.max_tokens = 32;
  WEIR_TRY(read_generating(reader, node, task));
  RetrievalSpec& spec = task.retrieval;
  std::vector<double> lengths;
  WEIR_TRY(reader.numbers(node, "lengths", SuiteLimits::kLengths, 64, SuiteLimits::kContextTokens,
                          lengths));
  spec.lengths.assign(lengths.begin(), lengths.end());
  WEIR_TRY(reader.numbers(node, "depths", SuiteLimits::kLengths, 0, 1, spec.depths));
  for (const auto& [key, list] : {std::pair{"lengths", &lengths}, {"depths", &spec.depths}}) {
    if (std::adjacent_find(list->begin(), list->end(), std::greater_equal<>()) != list->end())
      return reader.at(node.find(key)->line, fmt::format("{} must ascend", key));
  }
  WEIR_TRY(reader.text(node, "needle", spec.needle));
  WEIR_TRY(reader.text(node, "question", spec.question));
  WEIR_TRY(reader.text(node, "answer", spec.answer));
  if (spec.needle.find(spec.answer) != std::string::npos) return {};
  return reader.at(node.line, "the needle must hold the answer");
}

Status read_determinism(const YamlReader& reader, const Node& node, SuiteTask& task) {
  static const std::vector<std::string> kFormat = {"format"};
  WEIR_TRY(reader.known(node, joined({&kCommon, &kGenerating, &kFormat})));
  task.metric = "same";
  task.max_tokens = 64;
  WEIR_TRY(one_of(reader, node, "format", {"jsonl", "gsm8k", "bfcl"}, task.format));
  return read_generating(reader, node, task);
}

Status read_code(const YamlReader& reader, const Node& node, SuiteTask& task) {
  WEIR_TRY(reader.known(node, joined({&kCommon, &kGenerating, &kCode})));
  task.metric = "acc";
  task.max_tokens = 512;
  WEIR_TRY(read_generating(reader, node, task));
  WEIR_TRY(one_of(reader, node, "format", {"humaneval", "mbpp"}, task.format));
  // Without a template the prompt is the head of a function, and nothing may stand before that.
  if (task.chat && node.find("instruction") == nullptr)
    task.instruction = "Write this in Python. Answer with the code, in one ``` block.";
  WEIR_TRY(reader.integer(node, "timeout_s", 1, 3600, task.timeout_s));
  return reader.integer(node, "memory_mb", 64, 1 << 20, task.memory_mb);
}

}  // namespace

Result<SuiteTask> read_suite_task(const YamlReader& reader, const Node& node) {
  WEIR_TRY(reader.is_map(node, "a task", "name and file"));
  SuiteTask task;
  task.line = node.line;
  WEIR_TRY(one_of(reader, node, "kind", kKinds, task.kind));
  if (task.kind == "multiple_choice") {
    WEIR_TRY(read_choice(reader, node, task));
  } else if (task.kind == "generate") {
    WEIR_TRY(read_generate(reader, node, task));
  } else if (task.kind == "retrieval") {
    WEIR_TRY(read_retrieval(reader, node, task));
  } else if (task.kind == "code") {
    WEIR_TRY(read_code(reader, node, task));
  } else {
    WEIR_TRY(read_determinism(reader, node, task));
  }
  WEIR_TRY(reader.text(node, "name", task.name));
  WEIR_TRY(reader.text(node, "file", task.file));
  WEIR_TRY(reader.integer(node, "limit", 1, 1e6, task.limit));
  if (task.name.empty()) return reader.at(node.line, "the task has no name");
  if (task.name.size() > EvalLimits::kNameBytes) {
    return reader.at(node.line, fmt::format("the task's name has {} bytes, more than {}",
                                            task.name.size(), EvalLimits::kNameBytes));
  }
  if (task.file.empty()) {
    return reader.at(node.line, fmt::format("the task {} has no file", task.name));
  }
  return task;
}

}  // namespace weir::ops
