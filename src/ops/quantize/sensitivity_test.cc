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
  s.importance = "0b";
  s.context_tokens = 512;
  s.chunks = 2;
  s.windows = TextWindows{std::string(32, 'a'), 10, {1, 2}};
  s.kl = {{"blk.0.attn_q.weight", 0.00125}, {"output.weight", 3e-7}};
  return s;
}

TEST(Sensitivity, WhatWasMeasuredOtherwiseIsNamed) {
  EXPECT_TRUE(check_sensitivity(some(), some()).ok());
  for (const auto& [what, change] : std::vector<std::pair<std::string, void (*)(Sensitivity&)>>{
           {"the model differs (was '00ff', is '00fe')", [](Sensitivity& s) { s.model = "00fe"; }},
           {"the text differs", [](Sensitivity& s) { s.text = "0c"; }},
           {"the importance matrix differs", [](Sensitivity& s) { s.importance = ""; }},
           {"the context differs", [](Sensitivity& s) { s.context_tokens = 256; }},
           {"the number of chunks differs", [](Sensitivity& s) { s.chunks = 1; }}}) {
    Sensitivity other = some();
    change(other);
    const Status checked = check_sensitivity(some(), other);
    ASSERT_FALSE(checked.ok()) << what;
    EXPECT_THAT(checked.error().message, HasSubstr(what));
  }
}

TEST(Sensitivity, AFileGivesItBack) {
  const os::TempDir folder;
  ASSERT_TRUE(write_sensitivity(some(), folder.file("s.json")).ok());
  const auto s = read_sensitivity(folder.file("s.json"));
  ASSERT_TRUE(s.ok()) << s.error().message;
  EXPECT_EQ(s->type, gguf::TensorType::kQ4_0);
  EXPECT_EQ(s->model, "00ff");
  EXPECT_EQ(s->text, "0a");
  EXPECT_EQ(s->importance, "0b");
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

// On a tiny model with random weights.
class MeasureSensitivity : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = gguf::File::open(weir::paths::repository("tests/golden/architectures/llama.gguf"));
    ASSERT_TRUE(file.ok()) << file.error().message;
    file_ = std::move(*file);
    for (const gguf::Tensor& t : file_->tensors()) {
      if (t.shape.size() > 1 && t.shape[0] % 32 == 0) matrices_.push_back(&t);
    }
    ASSERT_GT(matrices_.size(), 7U);
    header_.context_tokens = 16;
    header_.chunks = 2;
    for (int32_t i = 0; i < 32; ++i) header_.tokens.push_back(i * 7 % 32);
  }
  Result<Sensitivity> measure(const SensitivityKeeping& keeping, int threads = 1,
                              const SensitivityProgress& progress = {}) {
    kernels::ThreadPool pool(threads);
    return measure_sensitivity(*file_, matrices_, header_, nullptr, kernels::Isa::kScalar, pool,
                               progress, keeping);
  }

  std::optional<gguf::File> file_;
  std::vector<const gguf::Tensor*> matrices_;
  KlBaseHeader header_;
};

// Every matrix matters, and threads do not.
TEST_F(MeasureSensitivity, IsOfEveryMatrix) {
  Sensitivity found[2];
  for (const int threads : {1, 2}) {
    size_t calls = 0;
    const auto s = measure({}, threads, [&](size_t, size_t, std::string_view) { ++calls; });
    ASSERT_TRUE(s.ok()) << s.error().message;
    EXPECT_EQ(calls, matrices_.size());
    EXPECT_EQ(s->kl.size(), matrices_.size());
    for (const auto& [name, kl] : s->kl) EXPECT_GT(kl, 0) << name;
    found[threads - 1] = *s;
  }
  EXPECT_EQ(found[0].kl, found[1].kl);
}

// Killed after any tensor, the first of a layer among them: what is measured then is the same.
TEST_F(MeasureSensitivity, ARunThatWasCutShortGoesOnToTheSame) {
  const auto whole = measure({});
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  for (const size_t tensors : {size_t{1}, size_t{2}, matrices_.size() - 1}) {
    Sensitivity kept;
    SensitivityKeeping cut;
    cut.keep = [&](const Sensitivity& s) -> Status {
      kept = s;
      if (s.kl.size() < tensors) return {};
      return make_error(ErrorCode::kIo, "cut");
    };
    EXPECT_FALSE(measure(cut).ok());
    ASSERT_EQ(kept.kl.size(), tensors);
    size_t more = 0;
    const auto rest = measure({kept, [&](const Sensitivity&) -> Status {
                                 ++more;
                                 return {};
                               }});
    ASSERT_TRUE(rest.ok()) << rest.error().message;
    EXPECT_EQ(rest->kl, whole->kl);
    EXPECT_EQ(more, matrices_.size() - tensors);
  }
}

TEST_F(MeasureSensitivity, WhatWasMeasuredOtherwiseIsNotGoneOnWith) {
  const auto whole = measure({});
  ASSERT_TRUE(whole.ok());
  const auto difference = [&](auto change) {
    Sensitivity before = *whole;
    change(before);
    const auto s = measure({before, {}});
    return s.ok() ? "" : s.error().message;
  };
  EXPECT_THAT(difference([](Sensitivity& s) { s.text = "0"; }), HasSubstr("the text"));
  EXPECT_THAT(difference([](Sensitivity& s) { s.importance = "0"; }), HasSubstr("importance"));
  EXPECT_THAT(difference([](Sensitivity& s) { s.chunks = 7; }), HasSubstr("chunks"));
  EXPECT_EQ(difference([](Sensitivity&) {}), "");
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
