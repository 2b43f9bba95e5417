// What a ResponseWriter and its connection share: the outbox of one response. Internal to http/.
//
// The writer's side may be any thread; the connection's side is the I/O thread. The lifetime is
// really shared: the writer may outlive the connection (peer gone) and the connection may outlive
// the writer (answer given).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/thread_annotations.h"
#include "http/message.h"
#include "http/response_writer.h"

namespace weir::http {

// The connection as its exchange sees it. I/O thread.
class Taker {
 public:
  virtual ~Taker() = default;
  // Takes the outbox now; false: it does not, and is to be woken.
  virtual bool take_now() = 0;
};

class Exchange {
 public:
  // What has gathered since the connection last looked.
  struct Outbox {
    std::optional<Response> head;  // send(): with its body; begin_stream(): without
    bool stream = false;           // the head opens a stream
    std::string data;              // stream bytes, unframed
    bool finished = false;         // nothing follows
    std::optional<CloseReason> abort;
    std::optional<std::pair<std::chrono::milliseconds, std::string>> keep_alive;
  };

  // wake: makes the connection call take() soon; called under the lock, must not call back.
  // taker: whom write_now() calls; may be empty, then that is write().
  Exchange(std::string request_id, size_t buffer_limit, std::function<void()> wake,
           std::weak_ptr<Taker> taker = {});

  // The writer's side; see ResponseWriter.
  WriteStatus send(Response response);
  WriteStatus begin_stream(int status, Headers headers);
  WriteStatus write(std::string_view data);
  WriteStatus write_now(std::string_view data);  // I/O thread
  WriteStatus finish();
  void abort();
  void drop();  // the writer is destroyed
  void keep_alive(std::chrono::milliseconds interval, std::string data);
  void hold_head(int status, Headers headers);
  void on_closed(std::function<void(CloseReason)> callback);
  void on_writable(std::function<void()> callback);
  void note(const std::function<void(AnswerNotes&)>& change);
  void set_headers(Headers headers);
  void hold(std::shared_ptr<void> place);
  size_t buffered_bytes() const;
  bool closed() const;
  bool started() const;
  const std::string& request_id() const { return request_id_; }

  // The connection's side.
  Outbox take();
  // Tells how many bytes of this response wait in the connection; may call on_writable.
  void set_unsent(size_t bytes);
  // The writer has said everything, be it delivered or not.
  bool finished() const;
  AnswerNotes notes() const;
  // Keep-alive data is due. Before the head: opens the stream with the held one, if there is one.
  void open_held_stream(std::string_view data);
  // The response was delivered: no callback from now on, and no wake.
  void complete();
  // It cannot be delivered: on_closed is called, no wake from now on.
  void fail(CloseReason reason);

 private:
  WriteStatus status() const WEIR_REQUIRES(mutex_);
  // False: nothing of it is to be sent.
  bool put(std::string_view data) WEIR_REQUIRES(mutex_);
  void release() WEIR_EXCLUDES(mutex_);
  void wake() WEIR_REQUIRES(mutex_);

  const std::string request_id_;
  const size_t buffer_limit_;
  const std::weak_ptr<Taker> taker_;  // weak: the writer may outlive the connection
  mutable Mutex mutex_;
  std::function<void()> wake_ WEIR_GUARDED_BY(mutex_);  // empty: detached from the connection
  bool woken_ WEIR_GUARDED_BY(mutex_) = false;
  Outbox outbox_ WEIR_GUARDED_BY(mutex_);
  AnswerNotes notes_ WEIR_GUARDED_BY(mutex_);
  std::optional<Response> held_head_ WEIR_GUARDED_BY(mutex_);
  Headers headers_ WEIR_GUARDED_BY(mutex_);  // for the head, whatever else it holds
  std::shared_ptr<void> held_ WEIR_GUARDED_BY(mutex_);
  bool started_ WEIR_GUARDED_BY(mutex_) = false;
  bool streaming_ WEIR_GUARDED_BY(mutex_) = false;
  bool finished_ WEIR_GUARDED_BY(mutex_) = false;
  bool slow_ WEIR_GUARDED_BY(mutex_) = false;
  size_t unsent_ WEIR_GUARDED_BY(mutex_) = 0;
  std::optional<CloseReason> closed_ WEIR_GUARDED_BY(mutex_);
  std::function<void(CloseReason)> closed_callback_ WEIR_GUARDED_BY(mutex_);
  std::function<void()> writable_callback_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::http
