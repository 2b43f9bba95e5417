// For tests: a Runner whose logits and hidden states are a hash of the whole token history, read
// back through the pages, or of an encoder's whole text. A wrong page, a stale page or a skipped
// token changes every later token.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/rng.h"
#include "engine/runner.h"

namespace weir::engine {

class FakeRunner final : public Runner {
 public:
  struct Shape {
    int32_t vocab = 262;
    int32_t context = 256;
    int32_t step_tokens = 64;
    int32_t page_tokens = 8;
    int32_t pages = 64;
    // Above 0: texts of so many different tokens that repeat themselves. The last two tokens
    // almost decide the next; the whole history still shows in every logit.
    int32_t alphabet = 0;
  };
  explicit FakeRunner(Shape shape) : shape_(shape) {
    memory_.resize(static_cast<size_t>(shape.pages) * static_cast<size_t>(shape.page_tokens), -1);
  }

  int32_t vocab_size() const override { return shape_.vocab; }
  int32_t max_context_tokens() const override { return shape_.context; }
  int32_t max_step_tokens() const override { return shape_.step_tokens; }
  int32_t page_tokens() const override { return shape_.page_tokens; }
  int32_t pages() const override { return shape_.pages; }

  void copy_page(int32_t from, int32_t to) override {
    const std::span<const std::byte> source = page_bytes(from);
    std::copy(source.begin(), source.end(), page_bytes(to).begin());
  }
  std::span<std::byte> page_bytes(int32_t page) override {
    const auto page_tokens = static_cast<size_t>(shape_.page_tokens);
    return std::as_writable_bytes(
        std::span(memory_).subspan(static_cast<size_t>(page) * page_tokens, page_tokens));
  }

  EmbeddingTraits embedding() const override { return traits; }
  EmbeddingTraits traits;  // set before the engine is made

  // Called before each forward; an error makes the step fail.
  std::function<Status(std::span<const model::Chunk>)> before;

  Status forward(std::span<const model::Chunk> batch, std::span<float> logits,
                 std::span<float> hidden) override {
    ++calls;
    if (before) WEIR_TRY(before(batch));
    size_t row = 0;
    size_t hidden_row = 0;
    const auto dim = static_cast<size_t>(traits.dim);
    for (const model::Chunk& c : batch) {
      for (size_t i = 0; i < c.tokens.size(); ++i) {
        const auto position = static_cast<size_t>(c.position) + i;
        slot(c, position) = c.tokens[i];
      }
      const size_t end = static_cast<size_t>(c.position) + c.tokens.size();
      for (size_t left = c.tokens.size(); left > 0; --left) {
        if (left <= static_cast<size_t>(c.hidden_rows))
          fill(c, end - left, traits.encoder ? end : end - left + 1,
               hidden.subspan(hidden_row++ * dim, dim));
        if (left <= static_cast<size_t>(c.logit_rows))
          fill(c, end - left, end - left + 1,
               logits.subspan(row++ * static_cast<size_t>(shape_.vocab),
                              static_cast<size_t>(shape_.vocab)));
      }
    }
    return {};
  }

  std::atomic<uint64_t> calls = 0;

 private:
  int32_t& slot(const model::Chunk& c, size_t position) {
    const auto page_tokens = static_cast<size_t>(shape_.page_tokens);
    const auto page = static_cast<size_t>(c.pages[position / page_tokens]);
    return memory_[page * page_tokens + position % page_tokens];
  }
  // The values of a position that sees the tokens [0, seen).
  void fill(const model::Chunk& c, size_t position, size_t seen, std::span<float> logits) {
    uint64_t hash = position + 1;
    for (size_t p = 0; p < seen; ++p) hash = random_u64(hash, p, static_cast<uint64_t>(slot(c, p)));
    for (size_t i = 0; i < logits.size(); ++i) {
      hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's MMIX constants
      logits[i] = static_cast<float>(hash >> 40) * 0x1.0p-21F;        // [0, 8)
    }
    if (shape_.alphabet > 0 && !logits.empty()) repeat(c, seen, logits);
  }
  void repeat(const model::Chunk& c, size_t seen, std::span<float> logits) {
    uint64_t hash = 7;
    for (size_t p = seen < 2 ? 0 : seen - 2; p < seen; ++p)
      hash = random_u64(hash, 1, static_cast<uint64_t>(slot(c, p)));
    for (size_t i = 0; i < static_cast<size_t>(shape_.alphabet) && i < logits.size(); ++i) {
      hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;
      logits[i] = 8.0F + 0.1F * logits[i] + static_cast<float>(hash >> 40) * 0x1.0p-21F;
    }
  }
  Shape shape_;
  std::vector<int32_t> memory_;
};

}  // namespace weir::engine
