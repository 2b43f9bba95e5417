// Template source to tokens, as Jinja's lexer with trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::text::jinja {

enum class TokenKind : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kInt,
  kFloat,
  kString,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // unescaped, for strings
  int64_t integer = 0;
  double real = 0;
};

// Ends with a kEnd token. Errors: kCorrupt or kUnsupported with the line.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace weir::text::jinja
