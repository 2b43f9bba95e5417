// A message of an agent from outside: one reply at most, which is JSON in one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "mcp/base64.h"
#include "mcp/protocol.h"

namespace {

const weir::mcp::Protocol& protocol() {
  using namespace weir::mcp;
  static const Protocol p = [] {
    ServerContent content;
    Tool tool;
    tool.name = "t";
    tool.command = {"t"};
    tool.json = true;
    using Kind = ToolParameter::Kind;
    tool.parameters = {{Kind::kString, "s", "--s", "", "", {"a", "b"}, false, false},
                       {Kind::kInteger, "i", "-i", "", "", {}, true, false},
                       {Kind::kNumber, "n", "--n", "", "", {}, false, false},
                       {Kind::kSwitch, "w", "--w", "", "", {}, false, false},
                       {Kind::kString, "f", "", "", "", {}, true, false}};
    content.tools = {tool};
    content.resources = {{"weir://r", "r", "r", "text/plain", "r"}};
    return Protocol(std::move(content));
  }();
  return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::mcp;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const bool begun : {false, true}) {
    const Outcome o = protocol().handle(bytes, {begun, "2025-11-25"});
    if (!o.reply.empty()) {
      if (o.call || o.listen || o.reply.find('\n') != std::string::npos) std::abort();
      if (!weir::text::Json::parse(o.reply).ok()) std::abort();
    }
    if (o.call) {
      ToolOutput output;
      output.output = bytes;
      (void)protocol().call_reply(*o.call, output);
      if (o.call->command.empty() || o.call->command.front() != "t") std::abort();
    }
  }
  (void)decode_header(bytes);
  return 0;
}
