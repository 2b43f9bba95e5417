// What the gateway reads of a client's request. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace weir::gateway {

struct Incoming {
  std::string model;
  bool stream = false;
  std::string user;               // "user" of OpenAI's requests; "" without
  int64_t max_output_tokens = 0;  // 0: not said
  int64_t input_tokens = 0;       // estimated: four bytes of text a token
  bool generates = true;          // false: embeddings
};

// Errors: kInvalidJson; kInvalidValue with the field.
Result<Incoming> read_incoming(std::string_view path, std::string_view body);

}  // namespace weir::gateway
