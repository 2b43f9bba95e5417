// What the mock server reads of a request body. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::bench {

struct MockRequest {
  std::string model;          // any; empty: none was named
  int32_t prompt_tokens = 0;  // words, or ids of a prompt of ids
  int32_t output_tokens = 16;
  bool chat = false;
  bool stream = false;
  bool include_usage = false;
};

inline constexpr int32_t kMockMaxOutputTokens = 1'000'000;

// Words between blanks and line ends.
int32_t count_words(std::string_view text);
// Error: kInvalidJson or kInvalidValue with the field.
Result<MockRequest> parse_mock_request(std::string_view body, bool chat);
// Words of "prompt" or of all "messages" of a /tokenize body.
Result<int32_t> parse_mock_tokenize(std::string_view body);

// An event of a stream (without finish it has one token, " w"), the usage event, a whole answer.
std::string mock_token_event(const MockRequest& request, std::string_view id);
std::string mock_finish_event(const MockRequest& request, std::string_view id);
std::string mock_usage_event(const MockRequest& request, std::string_view id);
std::string mock_answer(const MockRequest& request, std::string_view id);

}  // namespace weir::bench
