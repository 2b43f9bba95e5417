#include "mcp/calls.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir::mcp {

Calls::~Calls() {
  {
    const std::lock_guard lock(turns_mutex_);
    for (const auto& r : running_) r->stop = true;
  }
  turns_changed_.notify_all();
  for (const auto& r : running_) r->thread.join();
}

void Calls::reap() {
  for (const auto& r : running_) {
    if (r->over) r->thread.join();
  }
  running_.erase(std::remove_if(running_.begin(), running_.end(),
                                [](const auto& r) { return !r->thread.joinable(); }),
                 running_.end());
}

Calls::Started Calls::start(std::string key, ToolCall call, Callbacks callbacks) {
  reap();
  if (std::any_of(running_.begin(), running_.end(),
                  [&](const auto& r) { return r->key == key && !r->stop && !r->answered; }))
    return Started::kTaken;
  if (running_.size() >= at_once_ + kMaxWaiting) return Started::kTooMany;
  running_.push_back(std::make_unique<Running>());
  Running& r = *running_.back();
  r.key = std::move(key);
  {
    const std::lock_guard lock(turns_mutex_);
    turns_.push_back(&r);
  }
  r.thread = std::thread([this, &r, call = std::move(call), callbacks = std::move(callbacks)] {
    if (wait_for_turn(r)) {
      const ToolOutput output = run_(
          call, [&r] { return r.stop.load(); }, callbacks.progress);
      end_turn();
      r.answered = true;
      callbacks.done(r.stop ? nullptr : &output);
    } else {
      callbacks.done(nullptr);
    }
    r.over = true;
  });
  return Started::kYes;
}

bool Calls::wait_for_turn(const Running& r) {
  std::unique_lock lock(turns_mutex_);
  turns_changed_.wait(lock,
                      [&] { return r.stop || (under_way_ < at_once_ && turns_.front() == &r); });
  std::erase(turns_, &r);
  const bool begins = !r.stop;
  if (begins) ++under_way_;
  lock.unlock();
  turns_changed_.notify_all();  // there may be a place for the next, too
  return begins;
}

void Calls::end_turn() {
  {
    const std::lock_guard lock(turns_mutex_);
    --under_way_;
  }
  turns_changed_.notify_all();
}

std::string Calls::too_many() const {
  return fmt::format("{} calls run and {} wait, the bound; try again when one has ended", at_once_,
                     kMaxWaiting);
}

void Calls::cancel(std::string_view key) {
  {
    const std::lock_guard lock(turns_mutex_);
    for (const auto& r : running_) {
      if (r->key == key) r->stop = true;
    }
  }
  turns_changed_.notify_all();
}

}  // namespace weir::mcp
