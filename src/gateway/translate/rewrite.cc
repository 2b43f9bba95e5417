#include "gateway/translate/rewrite.h"

#include <algorithm>
#include <vector>

#include "gateway/translate/json_skim.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::gateway::translate {
namespace {

struct Edit {
  size_t at = 0;
  size_t bytes = 0;  // that go
  std::string by;
};

class Rewriter {
 public:
  Rewriter(std::string_view body, const RewriteWishes& wishes) : body_(body), wishes_(wishes) {}

  // Precondition: they are those of the body.
  void know(const RewriteSpots& spots) {
    if (spots.model.bytes > 0) take_model(at(spots.model));
    if (spots.stream.bytes > 0) take_stream(at(spots.stream));
    if (spots.stream_options.bytes > 0) take_options(at(spots.stream_options));
  }

  Status look() {
    if (const size_t good = text::valid_utf8_prefix(body_); good != body_.size())
      return make_error(ErrorCode::kInvalidJson, "the bytes at offset {} are not UTF-8", good);
    JsonSkim members(body_);
    while (members.next()) {
      if (members.key_is("model")) take_model(members.value());
      if (members.key_is("stream")) take_stream(members.value());
      if (members.key_is("stream_options")) take_options(members.value());
    }
    if (members.ok() && body_[end()] == '}') return {};
    return make_error(ErrorCode::kInvalidJson, "the request body must be a JSON object");
  }

  RewrittenRequest run() {
    if (wishes_.usage && out_.stream && !out_.include_usage) ask_usage(end());
    apply();
    return std::move(out_);
  }

 private:
  void replace(std::string_view piece, std::string by) {
    edits_.push_back(
        {static_cast<size_t>(piece.data() - body_.data()), piece.size(), std::move(by)});
  }

  std::string_view at(const text::JsonSpan& span) const {
    return body_.substr(span.at, span.bytes);
  }
  // Of the object: its last byte.
  size_t end() const { return body_.find_last_not_of(" \t\r\n"); }

  void take_model(std::string_view value) {
    out_.model = skim_string(value).value_or("");
    if (!wishes_.model.empty()) replace(value, text::json_quote(wishes_.model));
  }
  void take_stream(std::string_view value) { out_.stream = value == "true"; }
  void take_options(std::string_view value) {
    stream_options_ = value;
    out_.include_usage = skim_member(value, "include_usage").value_or("") == "true";
  }

  void ask_usage(size_t end) {
    out_.usage_added = true;
    if (!stream_options_.starts_with('{')) {  // absent or null
      const std::string all = R"({"include_usage":true})";
      if (!stream_options_.empty()) {
        replace(stream_options_, all);
      } else {
        edits_.push_back({end, 0, R"(,"stream_options":)" + all});  // "stream" stands before it
      }
      return;
    }
    if (const auto value = skim_member(stream_options_, "include_usage"); value.has_value()) {
      replace(*value, "true");
      return;
    }
    JsonSkim members(stream_options_);
    const std::string comma = members.next() ? "," : "";
    replace(stream_options_.substr(0, 1), R"({"include_usage":true)" + comma);
  }

  void apply() {
    std::sort(edits_.begin(), edits_.end(),
              [](const Edit& a, const Edit& b) { return a.at < b.at; });
    size_t at = 0;
    for (const Edit& edit : edits_) {
      out_.body += body_.substr(at, edit.at - at);
      out_.body += edit.by;
      at = edit.at + edit.bytes;
    }
    out_.body += body_.substr(at);
  }

  std::string_view body_;
  const RewriteWishes& wishes_;
  RewrittenRequest out_;
  std::string_view stream_options_;
  std::vector<Edit> edits_;
};

}  // namespace

Result<RewrittenRequest> rewrite_request(std::string_view body, const RewriteWishes& wishes,
                                         const TranslateLimits& limits, const RewriteSpots* known) {
  if (body.size() > limits.max_body_bytes) {
    return make_error(ErrorCode::kBodyTooLarge, "the body has {} bytes; at most {} are taken",
                      body.size(), limits.max_body_bytes);
  }
  Rewriter rewriter(body, wishes);
  if (known != nullptr) {
    rewriter.know(*known);
  } else {
    WEIR_TRY(rewriter.look());
  }
  return rewriter.run();
}

}  // namespace weir::gateway::translate
