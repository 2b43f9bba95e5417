// One HTTP/1.1 connection: reads requests, hands them to the handler one after the other, writes
// the answers, and enforces the limits and timeouts of ServerLimits. Internal to http/. Everything
// here runs on the I/O thread, which is the connection's strand.
//
//   kReading ──request whole──► kResponding ──answer sent──► kReading (keep-alive)
//      │ protocol error, limit, timeout      │ close                │ 101
//      │                                     │                      └──► kWebSocket
//      └──► kClosing (error answer, then) ◄──┘   kClosing: send the rest, end of stream, drain
//      input, close
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/begin_line.h"
#include "http/exchange.h"
#include "http/request_parser.h"
#include "http/server.h"
#include "http/transport.h"
#include "http/websocket.h"

namespace weir::http {

class Connection;

// What all connections of a server share; owned by the server, outlives them. I/O thread only.
struct ServerContext {
  ServerOptions options;
  Handler handler;
  ErrorRenderer render_error;
  const Clock* clock = nullptr;
  Observer* observer = nullptr;     // never null
  std::shared_ptr<BeginLine> line;  // shared with its own turns; never null
  bool draining = false;
  size_t body_bytes = 0;  // of all connections
  uint64_t next_request_id = 0;
  std::function<void(Connection&)> on_connection_end;  // may destroy the connection

  std::string new_request_id();
  Response error_response(int status, const Error& error, std::string_view path) const;
};

// Shared with its own pending operations, as Asio demands.
class Connection : public std::enable_shared_from_this<Connection>, public Taker {
 public:
  Connection(ServerContext& context, const boost::asio::any_io_executor& executor,
             std::unique_ptr<Transport> transport);

  void start();
  // Answers 503 at once and closes: one connection too many.
  void start_rejected();
  // Closes if no request has begun, else after the current one.
  void drain();
  // Answers 503 and closes if a request has begun and is not whole.
  void refuse_unread();
  bool take_now() override;
  // Closes now; a pending writer sees the reason.
  void close(CloseReason reason);

 private:
  enum class State { kReading, kResponding, kWebSocket, kClosing, kClosed };

  // connection_read.cc
  void read();
  void on_read(std::error_code error, size_t bytes);
  void on_read_end();
  void parse();
  bool feed(std::string_view bytes, size_t& used);
  void update_read_timer(RequestParser::Phase before);
  void arm_read_timer(std::chrono::milliseconds timeout);
  void on_read_timeout();
  bool reserve_body();
  void release_body();
  bool check_request(const Request& request);
  bool answer_preflight(const Request& request);
  void dispatch();
  void begin_request();
  void fail_request(int status, const Error& error, std::string_view limit);

  std::shared_ptr<Exchange> make_exchange(const std::string& request_id);

  // connection_websocket.cc
  bool begin_handshake(Request& request);
  bool take_handshake_answer(const Response& response);
  void upgrade();
  void take_frames();
  void on_frame(WebSocketParser::Event event);
  void on_message(std::string message);
  void on_websocket_wake();
  void take_answer(const Response& response);
  bool take_events(std::string_view events);
  void end_message();
  std::shared_ptr<Exchange> end_exchange(std::optional<CloseReason> disconnect);
  void on_websocket_tick();
  void arm_websocket_tick();
  void send_text(std::string_view text);
  void send_error(int status, const Error& error);
  void close_websocket(WebSocketClose code, std::string_view reason);
  bool account_messages();

  // connection_write.cc
  void on_wake();
  void queue_head(const Response& response, bool stream);
  void queue_data(std::string_view data);
  void arm_keep_alive(std::chrono::milliseconds delay);
  void write();
  void write_at_once();
  bool fill();
  void on_written(std::error_code error, size_t bytes);
  size_t unsent() const { return sending_.size() - sent_ + queued_.size(); }
  void set_stream(bool stream);
  void finish_response();
  void report_end(std::optional<CloseReason> disconnect);
  void begin_closing();

  ServerContext& context_;
  boost::asio::any_io_executor executor_;
  std::unique_ptr<Transport> transport_;
  State state_ = State::kReading;
  bool rejected_ = false;

  // Reading.
  std::vector<char> read_buffer_;
  bool reading_ = false;
  std::string input_;  // received, not yet parsed
  RequestParser parser_;
  boost::asio::steady_timer read_timer_;
  uint64_t read_timer_round_ = 0;  // a timer that fired late knows that it was replaced
  std::string_view read_timeout_;  // which limit the timer stands for
  size_t reserved_body_ = 0;
  bool first_request_ = true;
  bool in_line_ = false;      // the request is whole, and not begun
  bool input_ended_ = false;  // meanwhile

  // The current response.
  std::shared_ptr<Exchange> exchange_;
  std::string method_;
  std::string path_;
  std::string_view refused_by_;  // the limit that fail_request named
  std::string refused_id_;
  std::string origin_;  // of the request, if it gets CORS headers
  int64_t request_ns_ = 0;
  int status_ = 0;
  bool head_request_ = false;
  bool chunked_ = false;
  bool stream_ = false;
  bool drop_body_ = false;
  bool keep_connection_ = false;
  bool response_queued_ = false;  // all of it is in queued_ or sending_
  boost::asio::steady_timer keep_alive_timer_;
  std::chrono::milliseconds keep_alive_interval_{0};
  std::string keep_alive_data_;
  int64_t last_data_ns_ = 0;

  // WebSocket.
  std::string accept_;                     // of the handshake that is being answered; else empty
  Request handshake_;                      // what the request of each message is made from
  std::optional<WebSocketParser> frames_;  // from the upgrade on
  size_t message_bytes_ = 0;               // of the request that runs
  int64_t heard_ns_ = 0;                   // the last byte of the peer
  int64_t message_begun_ns_ = 0;           // 0: none has begun

  // Writing.
  std::string sending_;
  size_t sent_ = 0;  // of sending_
  std::string queued_;
  bool writing_ = false;
  boost::asio::steady_timer write_timer_;
  uint64_t write_timer_round_ = 0;
};

}  // namespace weir::http
