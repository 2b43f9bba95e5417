#include "ops/eval/needle.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/rng.h"
#include "text/utf8.h"

namespace weir::ops {
namespace {

constexpr uint64_t kSeed = 0x6E6565646C65;  // "needle"
// A token is a few bytes; what lies far beyond is not tokenized.
constexpr size_t kBytesPerToken = 16;

std::string filled(std::string text, const std::string& number) {
  for (size_t at = text.find("{n}"); at != std::string::npos; at = text.find("{n}", at + 1)) {
    text.replace(at, 3, number);
  }
  return text;
}

// The start of the word at or before `at`.
size_t word_start(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && text[at - 1] != ' ' && text[at - 1] != '\n') --at;
  return at;
}

// Where a needle may stand at or before `at`: behind a sentence or line, else between words.
size_t gap_before(std::string_view text, size_t at) {
  constexpr size_t kLook = 400;
  for (size_t i = at; i > 0 && i + kLook > at; --i) {
    const bool line = text[i - 1] == '\n';
    const bool sentence = i > 1 && text[i - 1] == ' ' &&
                          std::string_view(".!?").find(text[i - 2]) != std::string_view::npos;
    if (line || sentence) return i;
  }
  return at < kLook ? 0 : word_start(text, at);
}

std::string with_needle(std::string_view hay, double depth, const std::string& needle,
                        const std::string& question) {
  const auto wanted = static_cast<size_t>(depth * static_cast<double>(hay.size()));
  const size_t gap = depth >= 1 ? hay.size() : gap_before(hay, wanted);
  std::string text(hay.substr(0, gap));
  if (!text.empty() && text.back() != ' ' && text.back() != '\n') text += ' ';
  text += needle + " ";
  text += hay.substr(gap);
  return text + "\n\n" + question;
}

// The longest prompt of at most `length` tokens, by halving.
Result<std::string> prompt_of(std::string_view haystack, double depth, const std::string& needle,
                              const std::string& question, size_t length,
                              const TokenCount& tokens) {
  const auto prompt = [&](size_t bytes) {
    return with_needle(haystack.substr(0, word_start(haystack, bytes)), depth, needle, question);
  };
  size_t low = 0;
  size_t high = std::min(haystack.size(), length * kBytesPerToken);
  if (tokens(prompt(0)) > length) {
    return make_error(ErrorCode::kInvalidValue,
                      "needle and question have more than the {} tokens of a length", length);
  }
  if (high == haystack.size() && tokens(prompt(high)) < length) {
    return make_error(ErrorCode::kInvalidValue,
                      "the haystack has fewer than the {} tokens of a length: name a longer file",
                      length);
  }
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    (tokens(prompt(middle)) <= length ? low : high) = middle;
  }
  return prompt(low);
}

}  // namespace

Result<std::vector<GenerateItem>> needle_items(const RetrievalSpec& spec, std::string_view haystack,
                                               const TokenCount& tokens) {
  const std::string hay = text::replace_invalid_utf8(haystack);
  std::vector<GenerateItem> items;
  for (const int32_t length : spec.lengths) {
    for (size_t d = 0; d < spec.depths.size(); ++d) {
      const uint64_t draw = random_u64(kSeed, static_cast<uint64_t>(length), d);
      const std::string number = std::to_string(1'000'000 + draw % 9'000'000);
      GenerateItem item;
      item.id = fmt::format("{}@{}", length, spec.depths[d]);
      item.expected = text::Json(filled(spec.answer, number));
      WEIR_ASSIGN(item.prompt,
                  prompt_of(hay, spec.depths[d], filled(spec.needle, number),
                            filled(spec.question, number), static_cast<size_t>(length), tokens));
      items.push_back(std::move(item));
    }
  }
  return items;
}

Result<std::vector<GenerateItem>> needles_in_window(
    const SuiteTask& task, std::string_view haystack, std::optional<int64_t> window_tokens,
    std::string_view remedy, const std::function<TokenCount()>& counter,
    const std::function<void(const std::string&)>& notice) {
  constexpr int64_t kTemplateTokens = 128;  // room for what a chat template adds
  RetrievalSpec spec = task.retrieval;
  if (window_tokens) {
    const int64_t most = *window_tokens - task.max_tokens - kTemplateTokens;
    std::erase_if(spec.lengths, [most](int32_t length) { return length > most; });
    if (spec.lengths.empty()) {
      return make_error(ErrorCode::kInvalidValue,
                        "task {}: every length is over the {} tokens that the window leaves{}",
                        task.name, most, remedy);
    }
    const size_t left_out = task.retrieval.lengths.size() - spec.lengths.size();
    if (left_out > 0 && notice) {
      notice(
          fmt::format("task {}: {} of {} lengths are over the {} tokens that the window leaves and "
                      "are left out",
                      task.name, left_out, task.retrieval.lengths.size(), most));
    }
  }
  auto items = needle_items(spec, haystack, counter());
  if (!items.ok()) return items.error().with_context("task " + task.name);
  if (task.limit > 0 && items->size() > static_cast<size_t>(task.limit))
    items->resize(static_cast<size_t>(task.limit));
  return items;
}

EvalScores score_needle(const GenerateItem& item, std::string_view answer) {
  const bool found = answer.find(item.expected.as_string()) != std::string_view::npos;
  return {{"acc", found ? 1 : 0}};
}

}  // namespace weir::ops
