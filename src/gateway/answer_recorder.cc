#include "gateway/answer_recorder.h"

#include <utility>

namespace weir::gateway {

void AnswerRecorder::answer(const http::Response& response) {
  failed_ |= response.status != 200 || response.body.size() > max_bytes_;
  if (!failed_) whole_ = response.body;
}

void AnswerRecorder::piece(std::string_view events) {
  streams_ = true;
  if (failed_) return;
  const auto fed = reader_.feed(events, [this](const http::SseEvent& event) {
    failed_ |= !event.name.empty() || !stream_.add(event.data).ok();
  });
  failed_ |= !fed.ok();
}

std::optional<std::string> AnswerRecorder::finish() {
  if (failed_) return std::nullopt;
  if (!streams_) return std::move(whole_);
  auto answer = stream_.finish();
  if (!answer.ok()) return std::nullopt;
  return answer->dump();
}

}  // namespace weir::gateway
