// The body of POST /v1/embeddings, and of its answer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/completions.h"
#include "api/generation.h"
#include "base/result.h"
#include "text/json.h"

namespace weir::api {

enum class VectorEncoding {
  kNumbers,  // a JSON array
  kBase64,   // of the values as little-endian f32
};

struct EmbeddingRequest {
  std::string model;
  std::vector<Prompt> inputs;  // at least one
  VectorEncoding encoding = VectorEncoding::kNumbers;
  std::optional<int32_t> dimensions;  // those of the model, or the request is refused
  // vLLM's: longer texts keep this many tokens; -1: as many as the model takes. Unset: they are
  // refused.
  std::optional<int32_t> truncate_prompt_tokens;
};

// Errors name the field.
Result<EmbeddingRequest> parse_embedding_request(const text::Json& body, const Limits& limits);

// vectors: one per input, in their order.
std::string embedding_list(const std::string& model, std::span<const std::vector<float>> vectors,
                           VectorEncoding encoding, int64_t prompt_tokens);

// An upper bound of the bytes of embedding_list, known before anything is computed.
int64_t max_embedding_list_bytes(const std::string& model, size_t texts, size_t dim,
                                 VectorEncoding encoding);

// RFC 4648, with padding.
std::string base64(std::span<const std::byte> bytes);

}  // namespace weir::api
