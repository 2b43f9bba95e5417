// Raw logits of a text's positions, for comparing with other implementations.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/runner.h"

namespace weir::ops {

// Writes, little endian: int32 vocabulary, int32 positions, the token ids (int32), then [positions,
// vocabulary] f32. The file appears whole or not at all. Uses the runner's first pages. Errors:
// kIo; what the runner returns.
Status dump_logits(engine::Runner& runner, std::span<const int32_t> tokens,
                   const std::string& path);

}  // namespace weir::ops
