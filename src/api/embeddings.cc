#include "api/embeddings.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "text/utf8.h"

namespace weir::api {
namespace {

using text::Json;

void append_vector(std::string& out, const std::vector<float>& v, VectorEncoding encoding) {
  if (encoding == VectorEncoding::kNumbers) {
    fmt::format_to(std::back_inserter(out), "[{}]", fmt::join(v, ","));
    return;
  }
  static_assert(std::endian::native == std::endian::little);
  out += '"';
  out += base64(std::as_bytes(std::span(v)));
  out += '"';
}

}  // namespace

Result<EmbeddingRequest> parse_embedding_request(const Json& body, const Limits& limits) {
  WEIR_ASSIGN(Fields f, Fields::of(body));
  EmbeddingRequest r;
  WEIR_ASSIGN(const auto model, f.string("model"));
  r.model = model.value_or("");
  WEIR_ASSIGN(const Json* input, f.require("input"));
  WEIR_ASSIGN(r.inputs, parse_prompts(*input, "input", limits.max_texts, limits));
  WEIR_ASSIGN(const auto format, f.string("encoding_format"));
  if (format.has_value() && *format != "float" && *format != "base64") {
    return param_error(ErrorCode::kInvalidValue, "encoding_format",
                       "encoding_format must be \"float\" or \"base64\", not {}",
                       text::json_quote(text::cut_utf8(*format, 40)));
  }
  if (format == "base64") r.encoding = VectorEncoding::kBase64;
  WEIR_ASSIGN(const auto dimensions,
              f.integer("dimensions", 1, std::numeric_limits<int32_t>::max()));
  if (dimensions.has_value()) r.dimensions = static_cast<int32_t>(*dimensions);
  WEIR_ASSIGN(const auto truncate,
              f.integer("truncate_prompt_tokens", -1, std::numeric_limits<int32_t>::max()));
  if (truncate.has_value()) {
    if (*truncate == 0) {
      return param_error(ErrorCode::kInvalidValue, "truncate_prompt_tokens",
                         "truncate_prompt_tokens is 0; it must be -1 or at least 1");
    }
    r.truncate_prompt_tokens = static_cast<int32_t>(*truncate);
  }
  f.find("user");  // accepted without effect
  WEIR_TRY(f.finish(limits.strict));
  return r;
}

std::string embedding_list(const std::string& model, std::span<const std::vector<float>> vectors,
                           VectorEncoding encoding, int64_t prompt_tokens) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < vectors.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)",
                   i == 0 ? "" : ",", i);
    append_vector(out, vectors[i], encoding);
    out += '}';
  }
  fmt::format_to(std::back_inserter(out),
                 R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                 text::json_quote(model), prompt_tokens, prompt_tokens);
  return out;
}

int64_t max_embedding_list_bytes(const std::string& model, size_t texts, size_t dim,
                                 VectorEncoding encoding) {
  // A float's shortest form is at its longest as a whole number just below 1e16, with its sign.
  constexpr size_t kNumberBytes = std::string_view("-1234567890000000,").size();
  constexpr size_t kAroundBytes =
      std::string_view(R"(,{"object":"embedding","index":2147483647,"embedding":""})").size();
  constexpr size_t kListBytes = 200;  // around them all, two counts included
  const size_t one =
      encoding == VectorEncoding::kNumbers ? dim * kNumberBytes : (dim * 4 + 2) / 3 * 4;
  return static_cast<int64_t>(texts * (one + kAroundBytes) + kListBytes +
                              text::json_quote(model).size());
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;  // 24 bits, the first byte highest
    for (size_t i = 0; i < 3; ++i)
      group = (group << 8) | (i < n ? static_cast<uint32_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out += i <= n ? kAlphabet[(group >> (18 - 6 * i)) & 63] : '=';
  }
  return out;
}

}  // namespace weir::api
