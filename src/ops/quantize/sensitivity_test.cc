#include "ops/quantize/sensitivity.h"
#include "base/paths_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using testing::HasSubstr;

Sensitivity some() {
  Sensitivity s;
  s.model = "00ff";
  s.text = "0a";
  s.context_tokens = 512;
  s.chunks = 2;
  s.windows = TextWindows{std::string(32, 'a'), 10, {1, 2}};
  s.kl = {{"blk.0.attn_q.weight", 0.00125}, {"output.weight", 3e-7}};
  return s;
}

TEST(Sensitivity, AFileGivesItBack) {
  const os::TempDir folder;
  ASSERT_TRUE(write_sensitivity(some(), folder.file("s.json")).ok());
  const auto s = read_sensitivity(folder.file("s.json"));
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_EQ(s->type, gguf::TensorType::kQ4_0);
  EXPECT_EQ(s->model, "00ff");
  EXPECT_EQ(s->text, "0a");
  EXPECT_EQ(s->context_tokens, 512);
  EXPECT_EQ(s->chunks, 2);
  EXPECT_EQ(s->kl, some().kl);
  ASSERT_TRUE(s->windows);
  EXPECT_EQ(s->windows->hashes, some().windows->hashes);
}

TEST(Sensitivity, AFileCutAnywhereIsRefused) {
  const os::TempDir folder;
  ASSERT_TRUE(write_sensitivity(some(), folder.file("s.json")).ok());
  const auto text = os::read_file(folder.file("s.json"), 1 << 20);
  ASSERT_TRUE(text.ok());
  for (size_t n = 0; n + 2 < text->size(); ++n)
    EXPECT_FALSE(parse_sensitivity(std::string_view(*text).substr(0, n)).ok()) << n;
}

// On a tiny model with random weights: every matrix matters, and threads do not.
TEST(Sensitivity, IsMeasuredForEveryMatrix) {
  const auto file =
      gguf::File::open(weir::paths::repository("tests/golden/architectures/llama.gguf"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::vector<const gguf::Tensor*> matrices;
  for (const gguf::Tensor& t : file->tensors()) {
    if (t.shape.size() > 1 && t.shape[0] % 32 == 0) matrices.push_back(&t);
  }
  ASSERT_GT(matrices.size(), 7U);
  KlBaseHeader header;
  header.context_tokens = 16;
  header.chunks = 2;
  for (int32_t i = 0; i < 32; ++i) header.tokens.push_back(i * 7 % 32);
  Sensitivity found[2];
  for (const int threads : {1, 2}) {
    kernels::ThreadPool pool(threads);
    size_t calls = 0;
    const auto s = measure_sensitivity(*file, matrices, header, nullptr, kernels::Isa::kScalar,
                                       pool, [&](size_t, size_t, std::string_view) { ++calls; });
    ASSERT_TRUE(s.ok()) << s.error().message;
    EXPECT_EQ(calls, matrices.size());
    EXPECT_EQ(s->kl.size(), matrices.size());
    for (const auto& [name, kl] : s->kl) EXPECT_GT(kl, 0) << name;
    found[threads - 1] = *s;
  }
  EXPECT_EQ(found[0].kl, found[1].kl);
}

TEST(Sensitivity, ABadFieldIsNamed) {
  const auto error = [](std::string_view json) { return parse_sensitivity(json).error().message; };
  EXPECT_THAT(error(R"({"kind": "weir.moments"})"), HasSubstr("'kind'"));
  EXPECT_THAT(error(R"({"kind": "weir.sensitivity", "type": "Q9"})"), HasSubstr("'type'"));
  EXPECT_THAT(error(R"({"kind": "weir.sensitivity", "type": "Q4_0", "model": "a", "text": "b",
                        "context": -1})"),
              HasSubstr("'context'"));
  EXPECT_THAT(error(R"({"kind": "weir.sensitivity", "type": "Q4_0", "model": "a", "text": "b",
                        "context": 512, "chunks": 2, "tensors": {"t": "much"}})"),
              HasSubstr("'tensors.t'"));
}

}  // namespace
}  // namespace weir::ops
