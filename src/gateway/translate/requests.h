// Requests of both protocols: read into a Conversation, written from one. Errors name the field by
// its path ("messages[2].content[0].type") and say what to do. Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "api/fields.h"
#include "base/result.h"
#include "gateway/translate/conversation.h"
#include "gateway/translate/protocol.h"
#include "text/json.h"

namespace weir::gateway::translate {

// A body of POST /v1/chat/completions. Of what Anthropic has no equivalent for, fields that change
// the answer are refused unless they say nothing ("n": 1) or options.drop_unsupported; the others
// are dropped. Errors: kInvalidJson, kInvalidValue, kUnknownParameter, kBodyTooLarge.
Result<Conversation> read_openai_request(std::string_view body, const TranslateOptions& options);
std::string write_openai_request(Conversation& conversation, const TranslateOptions& options);

// A body of POST /v1/messages. Errors as above.
Result<Conversation> read_anthropic_request(std::string_view body, const TranslateOptions& options);
// Errors: kInvalidValue for what this protocol cannot say.
Result<std::string> write_anthropic_request(Conversation& conversation,
                                            const TranslateOptions& options);

// Parsing with the bounds of `limits`; kBodyTooLarge or kInvalidJson.
Result<text::Json> parse_bounded(std::string_view body, const TranslateLimits& limits);
// Of a text of the client's, for an error: its beginning in quotes.
std::string quoted(const std::string& text);
// The tools of a body one after the other, each with its bytes in the body and its path. Errors:
// kInvalidValue for what is no array or has too many of them; the first of `read`.
using ReadTool =
    std::function<Status(const text::Json& tool, std::string_view raw, const std::string& path)>;
Status read_tools(api::Fields& fields, std::string_view body, const TranslateLimits& limits,
                  const ReadTool& read);
// The array "messages". Errors: kInvalidValue for none, or more of them than are taken.
Result<const text::Json*> require_messages(api::Fields& fields, const TranslateLimits& limits);
// One more of `blocks` in all messages. Error: kInvalidValue for more than are taken.
Status count_block(size_t& blocks, const TranslateLimits& limits);
// Members of the body that nothing asked for: refused or named in `altered`, as options say.
Status read_unknown_members(api::Fields& fields, const TranslateOptions& options,
                            Conversation& out);

}  // namespace weir::gateway::translate
