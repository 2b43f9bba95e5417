// Chat templates: the Jinja source that a model file carries, applied to a conversation.
//
// The language is the subset of Jinja 3.1 that chat templates use, rendered as Hugging Face
// transformers does it: trim_blocks, lstrip_blocks, loop controls, the `generation` block, an
// immutable sandbox, `tojson` without HTML escapes, `raise_exception` and `strftime_now`.
// Templates are hostile input: syntax errors and passed budgets are Errors, never crashes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "text/jinja/budgets.h"
#include "text/json.h"

namespace weir::gguf {
class File;
}

namespace weir::text {

namespace jinja {
class Template;
}

using Budgets = jinja::Budgets;

// What a template reads. Names that a template uses and that are not here are undefined.
struct ChatInput {
  Json messages = Json::array();  // `messages`, as the API received them
  Json tools;                     // `tools`; null where there are none
  bool add_generation_prompt = true;
  std::string bos_token;  // as the vocabulary spells it
  std::string eos_token;
  Json extra;                    // object of further variables (chat_template_kwargs), or null
  const Clock* clock = nullptr;  // for strftime_now (UTC); nullptr: calling it is an error
};

// A stretch of a rendered prompt. Only text of the template may become control tokens.
struct Segment {
  std::string text;
  bool from_template = false;  // false: from message content, tools or extra variables
  friend bool operator==(const Segment&, const Segment&) = default;
};

// A compiled template. Immutable: any thread. Movable.
class ChatTemplate {
 public:
  // Errors, with the line: kCorrupt for bad syntax, kUnsupported for what the subset lacks
  // (include, import, extends, unknown tags, filters and tests), kSchemaTooComplex for a budget.
  static Result<ChatTemplate> compile(std::string_view source, Budgets budgets = {});
  // The file's `tokenizer.chat_template`, or ChatML where it has none.
  static Result<ChatTemplate> from_gguf(const gguf::File& file, Budgets budgets = {});
  // `<|im_start|>role\ncontent<|im_end|>\n`.
  static std::string_view chatml();

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Errors: kInvalidValue with the template's own words when it calls raise_exception, and with
  // the line when it cannot treat the input; kSchemaTooComplex when a budget is spent.
  Result<std::string> render(const ChatInput& input) const;
  // The same text in stretches, each from the template or from the input; adjacent ones differ.
  // An operation on text keeps the origin of each character. The well-known role names
  // (system, user, assistant, tool, ...) count as the template's: some templates make control
  // tokens of them.
  Result<std::vector<Segment>> render_segments(const ChatInput& input) const;

  const std::string& source() const { return source_; }
  // Whether the template reads `tools`.
  bool mentions_tools() const { return source_.find("tools") != std::string::npos; }

 private:
  ChatTemplate(std::string source, std::unique_ptr<const jinja::Template> program, Budgets budgets);
  std::string source_;
  std::unique_ptr<const jinja::Template> program_;
  Budgets budgets_;
};

}  // namespace weir::text
