#include "mcp/stdio.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>

#include "os/file.h"

namespace weir::mcp {
namespace {

// Whole lines from several threads.
class LineWriter {
 public:
  explicit LineWriter(int fd) : fd_(fd) {}
  void write(const std::string& message) {
    const std::lock_guard lock(mutex_);
    const std::string line = message + "\n";
    const Status written = os::write_all(fd_, std::as_bytes(std::span(line)), "standard output");
    failed_ = failed_ || !written.ok();
  }
  bool failed() {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

 private:
  std::mutex mutex_;
  int fd_;
  bool failed_ = false;
};

class StdioServer {
 public:
  StdioServer(const Protocol& protocol, RunCall run, size_t calls_at_once, int output)
      : protocol_(protocol), writer_(output), calls_(std::move(run), calls_at_once) {}

  Status serve(int input) {
    std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    for (;;) {
      const ssize_t n = ::read(input, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os::system_error("read", "standard input", errno);
      if (n == 0) break;
      take(std::string_view(buffer.data(), static_cast<size_t>(n)));
      if (writer_.failed())
        return make_error(ErrorCode::kIo,
                          "standard output could not be written: the client is gone");
    }
    if (!line_.empty()) message(line_);
    for (const Listen& l : listening_) writer_.write(protocol_.listen_end(l));
    return {};
  }

 private:
  void take(std::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = std::min(bytes.find('\n'), bytes.size());
      if (line_.size() + end > kMaxMessageBytes) too_long_ = true;
      if (too_long_) {
        line_.clear();
      } else {
        line_ += bytes.substr(0, end);
      }
      if (end == bytes.size()) return;
      bytes.remove_prefix(end + 1);
      if (too_long_) {
        writer_.write(error_reply(nullptr, kInvalidRequest,
                                  fmt::format("a line may have {} bytes", kMaxMessageBytes)));
      } else if (line_.find_first_not_of(" \t\r") != std::string::npos) {
        message(line_);
      }
      line_.clear();
      too_long_ = false;
    }
  }

  void message(const std::string& line) {
    Outcome o = protocol_.handle(line, session_);
    if (o.began) session_ = *o.began;
    if (!o.reply.empty()) writer_.write(o.reply);
    if (o.cancel) cancel(*o.cancel);
    if (o.listen) {
      writer_.write(Protocol::acknowledged(*o.listen));
      listening_.push_back(*std::move(o.listen));
      if (listening_.size() > kMaxListening) listening_.erase(listening_.begin());
    }
    if (o.call) call(*std::move(o.call));
  }

  void cancel(const text::Json& id) {
    calls_.cancel(id.dump());
    listening_.erase(std::remove_if(listening_.begin(), listening_.end(),
                                    [&](const Listen& l) { return l.id == id; }),
                     listening_.end());
  }

  void call(const ToolCall& call) {
    Calls::Callbacks callbacks;
    callbacks.progress = [this, token = call.progress_token](double seconds,
                                                             std::string_view said) {
      if (!token.is_null()) writer_.write(Protocol::progress(token, seconds, said));
    };
    callbacks.done = [this, call](const ToolOutput* output) {
      if (output != nullptr) writer_.write(protocol_.call_reply(call, *output));
    };
    const std::string id = call.id.dump();
    switch (calls_.start(id, call, std::move(callbacks))) {
      case Calls::Started::kYes:
        return;
      case Calls::Started::kTaken:
        return writer_.write(
            error_reply(call.id, kInvalidRequest, "a request of this id runs; take a new one"));
      case Calls::Started::kTooMany:
        return writer_.write(protocol_.busy_reply(call, calls_.too_many()));
    }
  }

  static constexpr size_t kMaxListening = 64;

  const Protocol& protocol_;
  LineWriter writer_;
  LegacySession session_;
  std::string line_;
  bool too_long_ = false;
  std::vector<Listen> listening_;
  Calls calls_;  // last: its threads use the others until it is gone
};

}  // namespace

Status serve_stdio(const Protocol& protocol, RunCall run, size_t calls_at_once, int input,
                   int output) {
  return StdioServer(protocol, std::move(run), calls_at_once, output).serve(input);
}

}  // namespace weir::mcp
