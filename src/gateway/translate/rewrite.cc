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

  Result<RewrittenRequest> run() {
    JsonSkim members(body_);
    while (members.next()) member(members);
    const size_t end = body_.find_last_not_of(" \t\r\n");
    if (!members.ok() || body_[end] != '}') {
      return make_error(ErrorCode::kInvalidJson, "the request body must be a JSON object");
    }
    if (wishes_.usage && out_.stream && !out_.include_usage) ask_usage(end);
    apply();
    return std::move(out_);
  }

 private:
  void replace(std::string_view piece, std::string by) {
    edits_.push_back(
        {static_cast<size_t>(piece.data() - body_.data()), piece.size(), std::move(by)});
  }

  void member(const JsonSkim& m) {
    if (m.key_is("model")) {
      out_.model = skim_string(m.value()).value_or("");
      if (!wishes_.model.empty()) replace(m.value(), text::json_quote(wishes_.model));
    }
    if (m.key_is("stream")) out_.stream = m.value() == "true";
    if (m.key_is("stream_options")) {
      stream_options_ = m.value();
      out_.include_usage = skim_member(m.value(), "include_usage").value_or("") == "true";
    }
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
                                         const TranslateLimits& limits) {
  if (body.size() > limits.max_body_bytes) {
    return make_error(ErrorCode::kBodyTooLarge, "the body has {} bytes; at most {} are taken",
                      body.size(), limits.max_body_bytes);
  }
  if (const size_t good = text::valid_utf8_prefix(body); good != body.size()) {
    return make_error(ErrorCode::kInvalidJson, "the bytes at offset {} are not UTF-8", good);
  }
  return Rewriter(body, wishes).run();
}

}  // namespace weir::gateway::translate
