// The lexical rules of RFC 9110 and RFC 9112 that requests and responses share.
#pragma once

#include <string_view>

namespace weir::http {

bool is_token_char(char c);
// HTAB, 0x20–0x7E, 0x80–0xFF.
bool is_text_char(char c);
// What an HTTP token may hold (RFC 9110 section 5.6.2).
bool is_token(std::string_view text);
// What a field value may hold: text characters only.
bool is_field_value(std::string_view text);
bool is_digit(char c);
// 0 to 15, or -1.
int hex_digit(char c);
// Without the spaces and tabs at its ends.
std::string_view trim_blanks(std::string_view text);
// *( ";" name [ "=" value ] ), RFC 9112 section 7.1.1 without the whitespace that it lets a
// recipient refuse.
bool valid_chunk_extensions(std::string_view text);

}  // namespace weir::http
