#include "ops/deploy/shell.h"

#include <algorithm>
#include <optional>

namespace weir::ops {
namespace {

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

bool is_assignment(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos || (word[0] >= '0' && word[0] <= '9'))
    return false;
  return std::all_of(word.begin(), word.begin() + static_cast<long>(equals), name_char);
}

class Splitter {
 public:
  Splitter(std::string_view text, std::string_view name, int line, const ShellLimits& limits)
      : text_(text), name_(name), line_(line), limits_(limits) {}

  Result<std::vector<ShellCommand>> run() {
    if (text_.size() > limits_.max_bytes)
      return make_error(ErrorCode::kLimit, "{}: larger than {} bytes", name_, limits_.max_bytes);
    while (at_ < text_.size()) WEIR_TRY(step());
    WEIR_TRY(end_word());
    end_command();
    return std::move(commands_);
  }

 private:
  Status fail(int line, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, line, what);
  }

  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char take() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }
  // A character of the word that is being read.
  void put(char c) {
    if (!word_) word_ = Word{"", line_, false};
    word_->text += c;
  }
  void open() {
    if (!word_) word_ = Word{"", line_, false};
  }

  Status step() {
    const char c = peek();
    if (c == '\\') return escape();
    if (c == '\'' || c == '"') return quoted();
    if (c == '$' || c == '`') return expansion();
    if (c == '#' && !word_) return comment();
    if (blank(c)) {
      take();
      return end_word();
    }
    if (c == '<' || c == '>') return redirection();
    if (c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')') {
      WEIR_TRY(end_word());
      take();
      end_command();
      return {};
    }
    put(take());
    return {};
  }

  Status comment() {
    while (at_ < text_.size() && peek() != '\n') take();
    return {};
  }

  // A line that goes on, or the next character as it is.
  Status escape() {
    take();
    if (peek() == '\r' && peek(1) == '\n') take();
    if (at_ == text_.size()) return {};
    if (peek() == '\n') {
      take();
      return {};
    }
    open();
    put(take());
    return {};
  }

  Status quoted() {
    const int line = line_;
    open();
    const char quote = take();
    for (;;) {
      if (at_ == text_.size()) return fail(line, "a quote without an end");
      if (peek() == quote) {
        take();
        return {};
      }
      if (quote == '"' && peek() == '\\') {
        take();
        const char next = peek();
        if (next == '\n') {
          take();
        } else if (next == '"' || next == '\\' || next == '$' || next == '`') {
          put(take());
        } else {
          put('\\');
        }
      } else if (quote == '"' && (peek() == '$' || peek() == '`')) {
        WEIR_TRY(expansion());
      } else {
        put(take());
      }
    }
  }

  // $NAME, ${...}, $(...), `...`: kept as it stands.
  Status expansion() {
    const int line = line_;
    open();
    const char first = take();
    word_->text += first;
    if (first == '`') return until('`', line);
    if (peek() == '{') return until('}', line);
    if (peek() == '(') return parentheses(line);
    const char next = peek();
    word_->expands = word_->expands || name_char(next) || next == '@' || next == '*' || next == '?';
    return {};
  }

  Status until(char end, int line) {
    word_->expands = true;
    for (;;) {
      if (at_ == text_.size()) return fail(line, "a substitution without an end");
      const char c = take();
      word_->text += c;
      if (c == end) return {};
    }
  }

  Status parentheses(int line) {
    word_->expands = true;
    int depth = 0;
    for (;;) {
      if (at_ == text_.size()) return fail(line, "a substitution without an end");
      const char c = take();
      word_->text += c;
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (depth == 0) return {};
    }
  }

  // The operator goes, and with it the digits in front and the word that follows.
  Status redirection() {
    if (peek() == '<' && peek(1) == '<') return fail(line_, "here-documents are not read");
    if (word_ && word_->text.find_first_not_of("0123456789") == std::string::npos) word_.reset();
    WEIR_TRY(end_word());
    while (peek() == '<' || peek() == '>' || peek() == '&' || peek() == '|') take();
    while (blank(peek())) take();
    skip_target_ = peek() != '\0' && peek() != '\n';
    return {};
  }

  Status end_word() {
    if (!word_) return {};
    Word word = std::move(*word_);
    word_.reset();
    if (skip_target_) {
      skip_target_ = false;
      return {};
    }
    if (++words_ > limits_.max_words)
      return make_error(ErrorCode::kLimit, "{}:{}: more than {} words", name_, word.line,
                        limits_.max_words);
    const bool first = command_.words.empty();
    (first && is_assignment(word.text) ? command_.assignments : command_.words)
        .push_back(std::move(word));
    return {};
  }

  void end_command() {
    if (!command_.words.empty() || !command_.assignments.empty())
      commands_.push_back(std::move(command_));
    command_ = {};
    skip_target_ = false;
  }

  const std::string_view text_;
  const std::string_view name_;
  size_t at_ = 0;
  int line_;
  const ShellLimits& limits_;
  std::optional<Word> word_;
  bool skip_target_ = false;
  size_t words_ = 0;
  ShellCommand command_;
  std::vector<ShellCommand> commands_;
};

}  // namespace

Result<std::vector<ShellCommand>> split_commands(std::string_view text, std::string_view name,
                                                 int first_line, const ShellLimits& limits) {
  return Splitter(text, name, first_line, limits).run();
}

std::string shell_quote(std::string_view word) {
  const auto plain = [](char c) {
    return name_char(c) || std::string_view("-./:=,@%+").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace weir::ops
