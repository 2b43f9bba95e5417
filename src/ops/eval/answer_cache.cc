#include "ops/eval/answer_cache.h"

namespace weir::ops {

std::vector<size_t> take_cached(const ResultCache* cache, std::span<const std::string> keys,
                                std::span<Generated> answers) {
  std::vector<size_t> open;
  for (size_t i = 0; i < keys.size(); ++i) {
    const CachedAnswer* found = cache == nullptr ? nullptr : cache->find(keys[i]);
    if (found == nullptr) {
      open.push_back(i);
    } else {
      answers[i] = {found->text, found->tokens, 0, found->cut};
    }
  }
  return open;
}

Status keep_answer(ResultCache* cache, const std::string& key, std::string_view task,
                   const std::string& item, const Generated& answer) {
  if (cache == nullptr) return {};
  return cache->put(key, task, item, {answer.text, answer.tokens, answer.cut, {}});
}

}  // namespace weir::ops
