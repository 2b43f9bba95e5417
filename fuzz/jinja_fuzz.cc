// A chat template from outside, compiled and rendered with small budgets.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::text::ChatInput;
  using weir::text::ChatTemplate;
  using weir::text::Json;
  weir::text::Budgets budgets;
  budgets.steps = 20'000;
  budgets.output_bytes = 1 << 16;
  budgets.memory_bytes = 1 << 22;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto compiled = ChatTemplate::compile(source, budgets);
  if (!compiled.ok()) return 0;
  static const weir::ManualClock clock;
  static const Json messages = *Json::parse(
      R"([{"role":"system","content":"S \u00e9"},{"role":"user","content":[{"type":"text","text":"x"}]},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"a":1.5}}}]}])");
  ChatInput input;
  input.messages = messages;
  input.clock = &clock;
  (void)compiled->render_segments(input);
  return 0;
}
