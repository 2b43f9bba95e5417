// The Model Context Protocol: a message in, what follows from it out. No I/O, no clock.
//
// Two eras, told apart by each request: since 2026-07-28 a request carries its version and
// capabilities in params._meta and stands alone; before, `initialize` begins a session. Both are
// served.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mcp/message.h"
#include "mcp/prompts.h"
#include "mcp/tool.h"

namespace weir::mcp {

inline constexpr std::string_view kModernVersion = "2026-07-28";
inline constexpr std::string_view kVersionKey = "io.modelcontextprotocol/protocolVersion";

struct Resource {
  std::string uri;  // "weir://skill/references/kv-cache-optimization.md"
  std::string name, title, mime_type, text;
};

struct ServerContent {
  std::string version;  // of the program
  std::vector<Tool> tools;
  std::vector<Resource> resources;
};

// Of a session that `initialize` began.
struct LegacySession {
  bool begun = false;
  std::string version;
};

// A command to be run; its reply is made by call_reply.
struct ToolCall {
  text::Json id;
  std::vector<std::string> command;  // the words behind the program's name
  text::Json progress_token;         // or null
  bool modern = false;
};

struct ToolOutput {
  enum class End : uint8_t { kExited, kTimeout, kSignal, kNotRun } end = End::kExited;
  int code = 0;        // of kExited the exit code, of kSignal the signal
  int timeout_s = 0;   // of kTimeout
  std::string output;  // of standard output
  std::string errors;  // of standard error, or of kNotRun why
  bool cut = false;
};

// A stream of changes, of which there are none: it is acknowledged and stays open.
struct Listen {
  text::Json id;
};

// What is to be done, in this order; all of it may be absent.
struct Outcome {
  std::string reply;                 // to be sent
  int http_status = 200;             // of the reply
  std::optional<ToolCall> call;      // to be run
  std::optional<text::Json> cancel;  // the id of a request that nobody waits for any more
  std::optional<Listen> listen;
  std::optional<LegacySession> began;  // initialize was answered
};

// Immutable: any thread.
class Protocol {
 public:
  explicit Protocol(ServerContent content);

  // Of a message that was read (mcp/message.h).
  Outcome answer(const RpcMessage& message, const LegacySession& session) const;
  // Both in one; what stdio needs.
  Outcome handle(std::string_view bytes, const LegacySession& session) const;

  std::string call_reply(const ToolCall& call, const ToolOutput& output) const;
  // The reply of a call that cannot run now.
  std::string busy_reply(const ToolCall& call, std::string_view why) const;
  static std::string progress(const text::Json& token, double seconds, std::string_view said);
  static std::string acknowledged(const Listen& listen);
  std::string listen_end(const Listen& listen) const;

  const ServerContent& content() const { return content_; }

 private:
  Outcome initialize(const RpcMessage& message) const;
  Outcome modern(const RpcMessage& message) const;
  Outcome dispatch(const RpcMessage& message, bool modern) const;
  Outcome list(const RpcMessage& message, bool modern) const;
  Outcome call_tool(const RpcMessage& message, bool modern) const;
  Outcome read_resource(const RpcMessage& message, bool modern) const;
  Outcome get_prompt(const RpcMessage& message, bool modern) const;
  text::Json complete(text::Json result, bool modern, bool cacheable) const;
  text::Json server_info() const;

  ServerContent content_;
  std::vector<Prompt> prompts_;
};

// Those that `initialize` can agree on, the newest first, and all that are served.
const std::vector<std::string_view>& legacy_versions();
text::Json served_versions();

}  // namespace weir::mcp
