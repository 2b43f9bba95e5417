// Which engine a command or an image is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/deploy/deployment.h"

namespace weir::ops {

// The first engine's program among the words, whatever stands in front of it (env, exec, numactl);
// `sh -c TEXT` is looked into. nullopt: none. Errors: those of split_commands on such a text.
Result<std::optional<EngineCall>> find_call(const std::vector<Word>& words, std::string_view file);

// By the name of an image; "" when none.
std::string engine_of_image(std::string_view image);
// What follows the colon of the last part, without a digest: "v0.33.0"; "" without one.
std::string tag_of_image(std::string_view image);
// "0.33.0" of "v0.33.0-cu129"; "" when the tag names no version ("latest", "server-b6000").
std::string version_of_tag(std::string_view tag);

}  // namespace weir::ops
