#include "text/chat_template.h"

#include "gguf/file.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/json_value.h"
#include "text/jinja/parser.h"
#include "text/jinja/template.h"

namespace weir::text {
namespace {

using jinja::Builtin;
using jinja::Scope;
using jinja::Text;
using jinja::Value;

Status fill_globals(jinja::Runtime& rt, const ChatInput& input, Scope& globals) {
  constexpr std::pair<std::string_view, Builtin> kFunctions[] = {
      {"range", Builtin::kRange},
      {"dict", Builtin::kDict},
      {"namespace", Builtin::kNamespace},
      {"cycler", Builtin::kCycler},
      {"joiner", Builtin::kJoiner},
      {"raise_exception", Builtin::kRaiseException},
      {"strftime_now", Builtin::kStrftimeNow}};
  for (const auto& [name, function] : kFunctions) globals.set(name, Value::builtin(function));
  WEIR_ASSIGN(Value bos, rt.text(input.bos_token));
  WEIR_ASSIGN(Value eos, rt.text(input.eos_token));
  WEIR_ASSIGN(Value messages, jinja::from_json(rt, input.messages, true));
  WEIR_ASSIGN(Value tools, jinja::from_json(rt, input.tools, true));
  globals.set("bos_token", std::move(bos));
  globals.set("eos_token", std::move(eos));
  globals.set("messages", std::move(messages));
  globals.set("tools", std::move(tools));
  globals.set("add_generation_prompt", Value::boolean(input.add_generation_prompt));
  if (!input.extra.is_object()) return {};
  for (const auto& [name, json] : input.extra.members()) {
    WEIR_ASSIGN(Value value, jinja::from_json(rt, json, true));
    globals.set(name, std::move(value));
  }
  return {};
}

Result<Text> render_text(const jinja::Template& program, const Budgets& budgets,
                         const ChatInput& input) {
  jinja::Runtime rt(budgets, input.clock);
  auto* globals = rt.make<Scope>();
  WEIR_TRY(fill_globals(rt, input, *globals));
  return jinja::Interpreter(rt, globals).run(program.body());
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::unique_ptr<const jinja::Template> program,
                           Budgets budgets)
    : source_(std::move(source)), program_(std::move(program)), budgets_(budgets) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::compile(std::string_view source, Budgets budgets) {
  WEIR_ASSIGN(jinja::Body body, jinja::parse(source, budgets));
  return ChatTemplate(std::string(source), std::make_unique<const jinja::Template>(std::move(body)),
                      budgets);
}

Result<ChatTemplate> ChatTemplate::from_gguf(const gguf::File& file, Budgets budgets) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  if (file.find(kKey) == nullptr) return compile(chatml(), budgets);
  WEIR_ASSIGN(const std::string_view source, file.get_string(kKey));
  return compile(source, budgets);
}

std::string_view ChatTemplate::chatml() {
  return "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
         "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
}

Result<std::string> ChatTemplate::render(const ChatInput& input) const {
  WEIR_ASSIGN(const Text text, render_text(*program_, budgets_, input));
  return text.bytes();
}

Result<std::vector<Segment>> ChatTemplate::render_segments(const ChatInput& input) const {
  WEIR_ASSIGN(const Text text, render_text(*program_, budgets_, input));
  std::vector<Segment> out;
  size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    out.push_back({text.bytes().substr(begin, run.end - begin), !run.user});
    begin = run.end;
  }
  return out;
}

}  // namespace weir::text
