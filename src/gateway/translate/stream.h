// Streams of both protocols: readers take server-sent events and tell a sink what they say, writers
// are sinks that make the events of a protocol. Pure, one stream each, one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/translate/conversation.h"
#include "gateway/translate/protocol.h"
#include "http/sse_reader.h"

namespace weir::gateway::translate {

// What a stream says, in its order. Views live until the call returns.
class StreamSink {
 public:
  StreamSink() = default;
  StreamSink(const StreamSink&) = delete;
  StreamSink& operator=(const StreamSink&) = delete;
  virtual ~StreamSink() = default;
  // First, and once.
  virtual void start(std::string_view id, std::string_view model) = 0;
  virtual void text(std::string_view delta) = 0;
  virtual void thinking(std::string_view delta) = 0;
  // Calls are numbered 0, 1, … in the order of their start.
  virtual void tool_start(size_t call, std::string_view id, std::string_view name) = 0;
  virtual void tool_arguments(size_t call, std::string_view delta) = 0;
  // Counts so far; the last ones are the true ones. May come before and after finish().
  virtual void usage(const TokenUsage& usage) = 0;
  // stop_sequence: the text that ended it, "" if none did or it is not known.
  virtual void finish(FinishReason reason, std::string_view stop_sequence) = 0;
  // Nothing follows.
  virtual void done() = 0;
};

class StreamReader {
 public:
  StreamReader() = default;
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;
  virtual ~StreamReader() = default;
  // Events of unknown names and types are skipped. Errors: the upstream's own, as read_error has
  // it; kCorrupt for events that break the protocol; kLimit. Nothing more may be fed then.
  virtual Status event(const http::SseEvent& event) = 0;
  // The upstream closed the stream. Error: kCorrupt when the answer was cut; an answer that had its
  // finish reason but not the last event is whole.
  virtual Status end() = 0;
  // The protocol's last event was there.
  virtual bool done() const = 0;
};

class StreamWriter : public StreamSink {
 public:
  // Bytes for the client since the last call.
  std::string take() { return std::move(out_); }
  // kLimit: what waited for its place grew too large.
  virtual Status status() const { return {}; }
  // Ends the stream with an error event, and nothing behind it.
  virtual void fail(const Error& error, std::string_view request_id) = 0;

 protected:
  std::string out_;
};

// sink outlives the reader.
std::unique_ptr<StreamReader> make_openai_stream_reader(StreamSink& sink,
                                                        const TranslateLimits& limits);
std::unique_ptr<StreamReader> make_anthropic_stream_reader(StreamSink& sink,
                                                           const TranslateLimits& limits);

struct StreamWriterOptions {
  std::string model;           // in place of the upstream's; empty: the upstream's
  bool include_usage = false;  // OpenAI: a last chunk with the usage
  int64_t created_unix_s = 0;  // OpenAI
  TranslateLimits limits;
  // Of a stream whose beginning the client has from elsewhere: start() is left out.
  bool begun = false;
  std::string id = {};     // OpenAI: that it began with
  int64_t next_block = 0;  // Anthropic: the index of the next block, or of the one that is open
  bool text_open = false;  // Anthropic: that block is a text and open
};
std::unique_ptr<StreamWriter> make_openai_stream_writer(StreamWriterOptions options);
std::unique_ptr<StreamWriter> make_anthropic_stream_writer(StreamWriterOptions options);

}  // namespace weir::gateway::translate
