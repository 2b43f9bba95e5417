#include "mcp/calls.h"

#include <algorithm>

namespace weir::mcp {

Calls::~Calls() {
  for (const auto& r : running_) r->stop = true;
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
                  [&](const auto& r) { return r->key == key && !r->stop; }))
    return Started::kTaken;
  if (running_.size() >= at_once_) return Started::kTooMany;
  running_.push_back(std::make_unique<Running>());
  Running& r = *running_.back();
  r.key = std::move(key);
  r.thread = std::thread([this, &r, call = std::move(call), callbacks = std::move(callbacks)] {
    const ToolOutput output = run_(
        call, [&r] { return r.stop.load(); }, callbacks.progress);
    callbacks.done(r.stop ? nullptr : &output);
    r.over = true;
  });
  return Started::kYes;
}

void Calls::cancel(std::string_view key) {
  for (const auto& r : running_) {
    if (r->key == key) r->stop = true;
  }
}

}  // namespace weir::mcp
