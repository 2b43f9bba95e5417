#include "gateway/cache/prompt_budget.h"

#include <algorithm>
#include <cmath>

namespace weir::gateway {
namespace {

using text::Json;

constexpr size_t kMaxHeaderBytes = 512;

int64_t tokens_of(std::string_view text, const PromptBudgetConfig& c, const TokenCounter& counter) {
  if (counter) return counter(text);
  return static_cast<int64_t>(
      std::ceil(static_cast<double>(text.size()) / std::max(c.bytes_per_token, 0.1)));
}

int64_t tokens_of_message(const Json& message, const PromptBudgetConfig& c,
                          const TokenCounter& counter) {
  int64_t tokens = c.message_tokens;
  for (const auto& [key, value] : message.members()) {
    if (key == "role") continue;
    if (value.is_string()) {
      tokens += tokens_of(value.as_string(), c, counter);
    } else if (key == "content" && value.is_array()) {
      for (const Json& part : value.items()) {
        const Json* text = part.find("text");
        tokens += text != nullptr && text->is_string() ? tokens_of(text->as_string(), c, counter)
                                                       : c.other_part_tokens;
      }
    } else if (value.is_array() || value.is_object()) {  // tool calls
      tokens += tokens_of(value.dump(), c, counter);
    }
  }
  return tokens;
}

std::string role_of(const Json& message) {
  const Json* role = message.find("role");
  return role != nullptr && role->is_string() ? role->as_string() : std::string();
}

bool is_system(const Json& message) {
  const std::string role = role_of(message);
  return role == "system" || role == "developer";
}

bool is_result(const Json& message) {
  const std::string role = role_of(message);
  return role == "tool" || role == "function";
}

// Messages that stay or go together.
struct Group {
  size_t begin = 0;
  size_t end = 0;
  int64_t tokens = 0;
};

Error too_long(int64_t tokens, int64_t most, std::string_view why) {
  return param_error(ErrorCode::kMaxInputTokensExceeded, "messages",
                     "the messages have about {} tokens and {} are taken (max_input_tokens){}",
                     tokens, most, why);
}

class Truncator {
 public:
  Truncator(const Json& messages, const PromptBudgetConfig& c, const TokenCounter& counter)
      : all_(messages.items()), dropped_(all_.size(), false) {
    tokens_.reserve(all_.size());
    for (const Json& m : all_) tokens_.push_back(tokens_of_message(m, c, counter));
  }

  // Drops until at most `most` are left or nothing more may go; what is left.
  int64_t run(int64_t before, int64_t most) {
    int64_t left = before;
    const size_t last = last_turn();
    for (const Group& turn : turns(last)) {
      if (left <= most) return left;
      drop(turn);
      left -= turn.tokens;
    }
    std::vector<Group> rounds = tool_rounds(last);
    if (!rounds.empty()) rounds.pop_back();  // what the model is to go on with
    for (const Group& round : rounds) {
      if (left <= most) return left;
      drop(round);
      left -= round.tokens;
    }
    return left;
  }

  Json kept() const {
    Json out = Json::array();
    for (size_t i = 0; i < all_.size(); ++i) {
      if (!dropped_[i]) out.push_back(all_[i]);
    }
    return out;
  }
  size_t dropped() const {
    return static_cast<size_t>(std::count(dropped_.begin(), dropped_.end(), true));
  }

 private:
  // Where the last user message stands; the end without one.
  size_t last_turn() const {
    for (size_t i = all_.size(); i > 0; --i) {
      if (role_of(all_[i - 1]) == "user") return i - 1;
    }
    return all_.size();
  }

  // From one user message to the next, before `last`. System messages are in none.
  std::vector<Group> turns(size_t last) const {
    std::vector<Group> out;
    for (size_t i = 0; i < last; ++i) {
      if (out.empty() || role_of(all_[i]) == "user") out.push_back({i, i, 0});
      out.back().end = i + 1;
      if (!is_system(all_[i])) out.back().tokens += tokens_[i];
    }
    return out;
  }

  // An assistant's tool calls with their results, behind the last user message.
  std::vector<Group> tool_rounds(size_t last) const {
    std::vector<Group> out;
    for (size_t i = last; i < all_.size();) {
      if (all_[i].find("tool_calls") == nullptr && all_[i].find("function_call") == nullptr) {
        ++i;
        continue;
      }
      Group round{i, i + 1, tokens_[i]};
      for (; round.end < all_.size() && is_result(all_[round.end]); ++round.end)
        round.tokens += tokens_[round.end];
      i = round.end;
      out.push_back(round);
    }
    return out;
  }

  void drop(const Group& group) {
    for (size_t i = group.begin; i < group.end; ++i) dropped_[i] = !is_system(all_[i]);
  }

  const Json::Array& all_;
  std::vector<int64_t> tokens_;
  std::vector<bool> dropped_;
};

}  // namespace

double PromptBudgetResult::ratio() const {
  return tokens_before == 0
             ? 1.0
             : static_cast<double>(tokens_after) / static_cast<double>(tokens_before);
}

std::string PromptBudgetResult::header() const {
  if (!changed) return {};
  if (action == PromptAction::kTruncate) {
    return fmt::format("truncate; tokens={}/{}; dropped={}", tokens_before, tokens_after,
                       messages_dropped);
  }
  std::string out =
      fmt::format("compress; tokens={}/{}; ratio={:.2f}", tokens_before, tokens_after, ratio());
  for (size_t i = 0; i < spans.size(); ++i) {
    const std::string span = fmt::format("{}{}:{}-{}", i == 0 ? "; spans=" : ",", spans[i].message,
                                         spans[i].begin, spans[i].end);
    if (out.size() + span.size() + 4 > kMaxHeaderBytes) return out + ",...";
    out += span;
  }
  return out;
}

int64_t count_tokens(const Json& messages, const PromptBudgetConfig& config,
                     const TokenCounter& counter) {
  int64_t tokens = 0;
  for (const Json& message : messages.items())
    tokens += tokens_of_message(message, config, counter);
  return tokens;
}

Status truncate_prompt(PromptBudgetResult& result, const PromptBudgetConfig& config,
                       const TokenCounter& counter) {
  Truncator cut(result.messages, config, counter);
  result.tokens_after = cut.run(result.tokens_before, config.max_input_tokens);
  if (result.tokens_after > config.max_input_tokens) {
    return too_long(result.tokens_after, config.max_input_tokens,
                    " without any but the system messages and the last user turn: shorten those");
  }
  result.messages_dropped = cut.dropped();
  Json kept = cut.kept();
  result.messages = std::move(kept);
  return {};
}

Result<PromptBudgetResult> apply_prompt_budget(const Json& messages,
                                               const PromptBudgetConfig& config,
                                               const TokenCounter& counter) {
  PromptBudgetResult result;
  result.messages = messages;
  if (config.max_input_tokens <= 0) return result;
  result.tokens_before = result.tokens_after = count_tokens(messages, config, counter);
  if (result.tokens_before <= config.max_input_tokens) return result;
  result.changed = true;
  result.action = config.action;
  switch (config.action) {
    case PromptAction::kRefuse:
      return too_long(result.tokens_before, config.max_input_tokens,
                      ": leave out what the answer does not need");
    case PromptAction::kTruncate:
      WEIR_TRY(truncate_prompt(result, config, counter));
      return result;
    case PromptAction::kCompress:
      WEIR_TRY(compress_prompt(result, config, counter));
      return result;
  }
  return result;
}

}  // namespace weir::gateway
