// Answers of a run that a cache has already, and those that it is given. Any thread that may use
// the cache.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/eval/cache.h"
#include "ops/eval/generate.h"

namespace weir::ops {

// Fills in the answers whose keys the cache knows and returns the places of the others, in order.
// cache: nullptr for none. answers[i] is that to keys[i].
std::vector<size_t> take_cached(const ResultCache* cache, std::span<const std::string> keys,
                                std::span<Generated> answers);
// Errors: those of ResultCache::put.
Status keep_answer(ResultCache* cache, const std::string& key, std::string_view task,
                   const std::string& item, const Generated& answer);

}  // namespace weir::ops
