// A request body from outside; the first byte chooses the route.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/chat_completions.h"
#include "api/completions.h"
#include "api/embeddings.h"
#include "api/tokenize.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto body = weir::text::Json::parse({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!body.ok()) return 0;
  weir::api::Limits limits;
  limits.strict = (data[0] & 8) != 0;
  switch (data[0] & 7) {
    case 0:
      (void)weir::api::parse_chat_request(*body, limits);
      break;
    case 1:
      (void)weir::api::parse_completion_request(*body, limits);
      break;
    case 2:
      (void)weir::api::parse_tokenize_request(*body, limits);
      break;
    case 4:
      (void)weir::api::parse_embedding_request(*body, limits);
      break;
    default:
      (void)weir::api::parse_detokenize_request(*body, limits);
  }
  return 0;
}
