#include "ops/eval/logits_dump.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "os/file.h"

namespace weir::ops {
namespace {
constexpr size_t kBlockTokens = 64;  // bounds the logits held at once
}

Status dump_logits(engine::Runner& runner, std::span<const int32_t> tokens,
                   const std::string& path) {
  WEIR_ASSIGN(os::AtomicFile out, os::AtomicFile::create(path));
  const int32_t head[] = {runner.vocab_size(), static_cast<int32_t>(tokens.size())};
  WEIR_TRY(out.write(std::as_bytes(std::span(head))));
  WEIR_TRY(out.write(std::as_bytes(tokens)));
  const auto page_tokens = static_cast<size_t>(runner.page_tokens());
  std::vector<int32_t> pages((tokens.size() + page_tokens - 1) / page_tokens);
  std::iota(pages.begin(), pages.end(), 0);
  std::vector<float> logits;
  for (size_t at = 0; at < tokens.size(); at += kBlockTokens) {
    model::Chunk chunk;
    chunk.tokens = tokens.subspan(at, std::min(kBlockTokens, tokens.size() - at));
    chunk.position = static_cast<int32_t>(at);
    chunk.pages = pages;
    chunk.logit_rows = static_cast<int32_t>(chunk.tokens.size());
    logits.resize(chunk.tokens.size() * static_cast<size_t>(runner.vocab_size()));
    WEIR_TRY(runner.forward({&chunk, 1}, logits, {}));
    WEIR_TRY(out.write(std::as_bytes(std::span<const float>(logits))));
  }
  return out.commit();
}

}  // namespace weir::ops
