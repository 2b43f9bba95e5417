#include "gateway/answer_recorder.h"

#include <utility>

namespace weir::gateway {
namespace {

// "seed, temperature"; a list that was cut ends with "...", and may have gone on with it.
bool names_temperature(std::string_view altered) {
  while (!altered.empty()) {
    const size_t end = altered.find(", ");
    const std::string_view field = altered.substr(0, end);
    if (field == "temperature" || field == "...") return true;
    altered = end == std::string_view::npos ? "" : altered.substr(end + 2);
  }
  return false;
}

}  // namespace

void AnswerRecorder::note(const http::Headers& head) {
  cascade_ = head.find("x-weir-cascade").value_or("");
  lost_temperature_ = names_temperature(head.find("x-weir-altered").value_or(""));
}

void AnswerRecorder::answer(const http::Response& response) {
  note(response.headers);
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
