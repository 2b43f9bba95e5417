// What went by in an answer: for the ledger, and for going on with it at another upstream when the
// first one fails in the middle. Fed by every AnswerTranslator, whole answers included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/translate/conversation.h"
#include "gateway/translate/stream.h"

namespace weir::gateway {

// One answer; one thread at a time.
class StreamObserver final : public translate::StreamSink {
 public:
  explicit StreamObserver(size_t max_text_bytes) : max_text_bytes_(max_text_bytes) {}

  const std::string& id() const { return id_; }        // the upstream's, as all below
  const std::string& model() const { return model_; }  // before any rewriting
  // Known only when the upstream said it. Of a stream that was cut it may lack the completion. Of
  // one that was resumed: what the present upstream counts, the text so far in its prompt.
  const TokenUsage& usage() const { return usage_; }
  // Of the answer as if one upstream had given it: the client's prompt and all of the completion.
  TokenUsage total_usage() const;
  FinishReason finish_reason() const { return finish_; }
  // The text so far, without thinking; its first max_text_bytes, cut between characters.
  const std::string& text() const { return text_; }
  bool text_is_whole() const { return !cut_; }
  // Pieces of text, thinking and arguments: about as many as tokens, where the usage is not known.
  int64_t deltas() const { return deltas_; }
  // Of the present upstream alone.
  int64_t own_deltas() const { return deltas_ - deltas_before_; }
  // Bytes of text() that the present upstream gave, and those that it was sent.
  size_t own_text_bytes() const { return text_.size() - text_before_; }
  size_t resent_text_bytes() const { return text_before_; }
  // Something that resending the text so far would not carry over.
  bool thought() const { return thought_; }
  bool called_tools() const { return called_tools_; }
  // The client has been given something of the answer itself.
  bool began() const { return deltas_ > 0 || called_tools_; }
  bool is_done() const { return done_; }
  // An answer can go on elsewhere by prompt plus text().
  bool can_continue() const {
    return finish_ == FinishReason::kNone && !done_ && !cut_ && !thought_ && !called_tools_;
  }

  // Another upstream goes on, which was sent the prompt and text().
  void resume();

  void start(std::string_view id, std::string_view model) override;
  void text(std::string_view delta) override;
  void thinking(std::string_view delta) override;
  void tool_start(size_t call, std::string_view id, std::string_view name) override;
  void tool_arguments(size_t call, std::string_view delta) override;
  void usage(const TokenUsage& usage) override;
  void finish(FinishReason reason, std::string_view stop_sequence) override;
  void done() override { done_ = true; }

 private:
  size_t max_text_bytes_;
  std::string id_;
  std::string model_;
  std::string text_;
  TokenUsage usage_;
  FinishReason finish_ = FinishReason::kNone;
  TokenUsage first_usage_;  // of the upstream that began, where it said any
  bool resumed_ = false;
  int64_t deltas_ = 0;
  int64_t deltas_before_ = 0;  // of former upstreams
  size_t text_before_ = 0;     // as well
  bool cut_ = false;
  bool thought_ = false;
  bool called_tools_ = false;
  bool done_ = false;
};

}  // namespace weir::gateway
