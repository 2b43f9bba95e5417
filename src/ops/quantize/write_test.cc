// Files of a quantized model: parts, and runs that were cut short and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "base/rng.h"
#include "gguf/writer.h"
#include "ops/quantize/journal.h"
#include "ops/quantize/quantize.h"
#include "os/cpu.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "quant/quantize.h"

namespace weir::ops {
namespace {

using gguf::TensorType;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Thrown from the progress callback: what a kill leaves, without the destructors' work, is made of
// a copy of the folder.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

class WriteQuantized : public ::testing::Test {
 protected:
  static constexpr uint64_t kCols = 256;
  static constexpr size_t kLayers = 6;

  WriteQuantized() {
    gguf::Writer w;
    w.set_string("general.architecture", "llama");
    w.set_uint("llama.block_count", kLayers);
    std::vector<std::vector<float>> data;
    std::vector<std::pair<std::string, uint64_t>> tensors{{"token_embd.weight", 40},
                                                          {"output_norm.weight", 1}};
    for (size_t i = 0; i < kLayers; ++i)
      tensors.emplace_back(fmt::format("blk.{}.attn_q.weight", i), 20 + i);
    for (const auto& [name, rows] : tensors) {
      std::vector<float>& values = data.emplace_back(kCols * rows);
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(random_unit(data.size(), 0, i)) - 0.5F;
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      const std::vector<uint64_t> shape = tensors[i].second == 1
                                              ? std::vector<uint64_t>{kCols}
                                              : std::vector<uint64_t>{kCols, tensors[i].second};
      w.add_tensor(tensors[i].first, TensorType::kF32, shape, std::as_bytes(std::span(data[i])));
    }
    bytes_ = *w.to_bytes();
    file_.emplace(*gguf::File::parse(bytes_));
  }

  QuantizePlan plan(const char* type = "Q4_0") const {
    return *plan_quantize(*file_, *find_mix(type), {}, {});
  }
  Result<Written> write(const OutputOptions& o, const char* type = "Q4_0",
                        const std::function<void(const QuantizeProgress&)>& progress = {}) {
    return write_quantized(*file_, plan(type), {}, {"1.2", "m.gguf", {1, 2}, "", ""}, pool_, o,
                           progress);
  }
  // What is in the folder of unfinished files when `tensors` of them are done, and no more.
  void interrupt(const OutputOptions& o, size_t tensors, const char* type = "Q4_0") {
    const std::string partial = o.path + ".partial";
    const std::string aside = dir_.file("aside");
    std::string last;
    size_t begun = 0;
    try {
      (void)write(o, type, [&](const QuantizeProgress& p) {
        if (p.tensor != last) ++begun;
        last = p.tensor;
        if (begun <= tensors) return;
        fs::copy(partial, aside, fs::copy_options::recursive);
        throw Interrupted();
      });
      FAIL() << "it was not interrupted";
    } catch (const Interrupted&) {
    }
    fs::remove_all(partial);
    fs::rename(aside, partial);
  }
  std::string bytes_of(const std::string& path) { return *os::read_file(path, 1 << 24); }
  // Where tensor `i` of "whole" ends in the file.
  size_t end_of(size_t i) {
    const auto whole = gguf::File::open(dir_.file("whole"));
    const auto& tensors = whole->tensors();
    const auto end = [&](size_t n) { return tensors[n].data.data() + tensors[n].data.size(); };
    return fs::file_size(dir_.file("whole")) -
           static_cast<size_t>(end(tensors.size() - 1) - end(i));
  }
  std::string journal() { return bytes_of(dir_.file("out.partial/journal")); }
  void set_journal(std::string_view text) {
    ASSERT_TRUE(os::write_file_atomic(dir_.file("out.partial/journal"), text).ok());
  }
  // Flips a byte of an unfinished part.
  void spoil(size_t at, const char* part = "out.partial/00001") {
    std::string bytes = bytes_of(dir_.file(part));
    ASSERT_LT(at, bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    ASSERT_TRUE(os::write_file_atomic(dir_.file(part), bytes).ok());
  }

  os::TempDir dir_;
  std::vector<std::byte> bytes_;
  std::optional<gguf::File> file_;
  kernels::ThreadPool pool_{1};
};

TEST_F(WriteQuantized, PartsHoldWhatTheWholeHolds) {
  ASSERT_TRUE(write({dir_.file("whole")}).ok());
  const auto whole = gguf::File::open(dir_.file("whole"));
  ASSERT_TRUE(whole.ok());
  for (const uint64_t most : {1U, 3U, 100U}) {
    const auto written =
        write({dir_.file("parts.gguf"), gguf::SplitLimits{.max_tensors = most}, false});
    ASSERT_TRUE(written.ok()) << written.error().message;
    EXPECT_EQ(written->files.size(), (kLayers + 2 + most - 1) / most);
    const auto parts = gguf::File::open(written->files.front());
    ASSERT_TRUE(parts.ok()) << parts.error().message;
    ASSERT_EQ(parts->tensors().size(), whole->tensors().size());
    for (size_t i = 0; i < whole->tensors().size(); ++i) {
      EXPECT_EQ(parts->tensors()[i].name, whole->tensors()[i].name);
      EXPECT_TRUE(std::ranges::equal(parts->tensors()[i].data, whole->tensors()[i].data));
    }
    EXPECT_EQ(*parts->get_string("weir.quantize.source"), "m.gguf");
    EXPECT_EQ(*parts->get_uint("split.tensors.count"), kLayers + 2);
    EXPECT_EQ(parts->find("split.count")->type, gguf::ValueType::kUint16);
  }
}

// In the first part; what the source says of an earlier calibration is in the caller's hands.
TEST_F(WriteQuantized, CalibrationTextIsKept) {
  Provenance from{"1.2", "m.gguf", {1, 2}, "", ""};
  from.windows = TextWindows{std::string(32, 'a'), 10, {3, 4}};
  const auto written = write_quantized(*file_, plan(), {}, from, pool_,
                                       {dir_.file("w"), gguf::SplitLimits{.max_tensors = 4}}, {});
  ASSERT_TRUE(written.ok());
  const auto out = gguf::File::open(written->files.front());
  const auto windows = read_windows(*out);
  ASSERT_TRUE(windows.ok() && *windows);
  EXPECT_EQ((*windows)->hashes, from.windows->hashes);
  EXPECT_EQ(out->get_string("weir.calibration.hash")->size(), 32U);
  ASSERT_TRUE(write({dir_.file("plain")}).ok());
  EXPECT_EQ(*read_windows(*gguf::File::open(dir_.file("plain"))), std::nullopt);
}

// Rows of an expert are rotated together; what its columns weigh is its own all the same.
TEST_F(WriteQuantized, ExpertsWhoseRowsAreRotatedKeepTheirOwnImportance) {
  constexpr size_t kRows = 32, kExperts = 3;
  const std::string name = "blk.0.ffn_down_exps.weight";
  std::vector<float> values(kCols * kRows * kExperts);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random_unit(5, 0, i)) - 0.5F;
  gguf::Writer w;
  w.set_string("general.architecture", "llama");
  w.set_uint("llama.block_count", 1);
  w.add_tensor(name, TensorType::kF32, std::vector<uint64_t>{kCols, kRows, kExperts},
               std::as_bytes(std::span(values)));
  const std::vector<std::byte> bytes = *w.to_bytes();
  const gguf::File file = *gguf::File::parse(bytes);
  ImportanceMatrix importance;
  ImportanceEntry& entry = importance.entries.emplace_back();
  entry.name = name;
  entry.counts.assign(kExperts, 1);
  for (size_t i = 0; i < kCols * kExperts; ++i)
    entry.sum_squares.push_back(static_cast<float>(random_unit(6, 0, i)) + 0.01F);
  const Calibration calibration{.importance = &importance};
  MixOptions options;
  options.importance = true;
  QuantizePlan plan = *plan_quantize(file, *find_mix("Q4_0"), options, calibration);
  TensorTransforms transforms;
  transforms[name].row_rotation = std::make_shared<const Rotation>(*Rotation::make(kRows, 1, 1));
  const TensorTransform transform = transforms[name];
  ASSERT_TRUE(transform_plan(plan, std::move(transforms), calibration).ok());
  const auto written = write_quantized(file, plan, calibration, {"1", "m", {1, 2}, "", ""}, pool_,
                                       {dir_.file("rotated")}, {});
  ASSERT_TRUE(written.ok()) << written.error().message;
  const auto got = gguf::File::open(dir_.file("rotated"));
  ASSERT_TRUE(got.ok());
  const auto data = got->find_tensor(name)->data;
  TransformedRows rotated(pool_);
  for (size_t e = 0; e < kExperts; ++e) {
    const auto rows = rotated.read(file.tensors()[0], transform, e * kRows, kRows);
    ASSERT_TRUE(rows.ok());
    std::vector<std::byte> want(data.size() / kExperts);
    const auto means = std::span<const float>(entry.sum_squares).subspan(e * kCols, kCols);
    ASSERT_TRUE(quant::quantize_rows(TensorType::kQ4_0, *rows, kCols, means, want,
                                     quant::best_search_isa(os::detect_cpu()))
                    .ok());
    EXPECT_TRUE(std::ranges::equal(want, data.subspan(e * want.size(), want.size()))) << e;
  }
}

TEST_F(WriteQuantized, PartsAreNoLargerThanWanted) {
  for (const uint64_t most : {9'500U, 12'000U, 20'000U}) {
    const auto written = write({dir_.file("p"), gguf::SplitLimits{.max_bytes = most}, false});
    ASSERT_TRUE(written.ok());
    EXPECT_GT(written->files.size(), 1U);
    for (const std::string& f : written->files) EXPECT_LE(fs::file_size(f), most) << f;
    EXPECT_TRUE(gguf::File::open(written->files.front()).ok());
  }
  EXPECT_EQ(write({dir_.file("p-00001-of-00002.gguf"), gguf::SplitLimits{}, false}).error().code,
            ErrorCode::kUsage);
}

TEST_F(WriteQuantized, ARunThatWasCutShortGoesOnToTheSameBytes) {
  for (const auto& split :
       {std::optional<gguf::SplitLimits>(), std::optional(gguf::SplitLimits{.max_tensors = 3})}) {
    const auto whole = write({dir_.file("whole"), split, false});
    ASSERT_TRUE(whole.ok());
    for (size_t tensors = 0; tensors < kLayers + 2; ++tensors) {
      const OutputOptions o{dir_.file("out"), split, tensors % 2 == 0};
      interrupt(o, tensors);
      const auto written = write(o);
      ASSERT_TRUE(written.ok()) << written.error().message;
      EXPECT_EQ(written->taken_over, tensors);
      for (size_t i = 0; i < whole->files.size(); ++i)
        EXPECT_EQ(bytes_of(written->files[i]), bytes_of(whole->files[i]));
      EXPECT_FALSE(fs::exists(dir_.file("out.partial")));
    }
  }
}

TEST_F(WriteQuantized, DamagedWorkIsDoneAgain) {
  const OutputOptions o{dir_.file("out"), {}, true};
  ASSERT_TRUE(write({dir_.file("whole")}).ok());
  interrupt(o, 5);
  const size_t end = end_of(3);
  spoil(end - 1);
  const auto written = write(o);
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->taken_over, 3U);
  EXPECT_EQ(bytes_of(dir_.file("out")), bytes_of(dir_.file("whole")));
  // A part that is too short, and one that is missing.
  interrupt(o, 5);
  fs::resize_file(dir_.file("out.partial/00001"), end - 1);
  EXPECT_EQ(write(o)->taken_over, 3U);
  EXPECT_EQ(bytes_of(dir_.file("out")), bytes_of(dir_.file("whole")));
  fs::remove(dir_.file("out"));
  interrupt(o, 5);
  fs::remove(dir_.file("out.partial/00001"));
  EXPECT_EQ(write(o)->taken_over, 0U);
  EXPECT_EQ(bytes_of(dir_.file("out")), bytes_of(dir_.file("whole")));
}

TEST_F(WriteQuantized, AJournalCutAnywhereGivesTheSameBytes) {
  const OutputOptions o{dir_.file("out"), {}, false};
  ASSERT_TRUE(write({dir_.file("whole")}).ok());
  interrupt(o, 3);
  const std::string whole = journal();
  fs::rename(dir_.file("out.partial"), dir_.file("kept"));
  for (size_t size = 0; size <= whole.size(); ++size) {
    fs::remove_all(dir_.file("out.partial"));
    fs::copy(dir_.file("kept"), dir_.file("out.partial"), fs::copy_options::recursive);
    set_journal(std::string_view(whole).substr(0, size));
    const auto written = write(o);
    ASSERT_TRUE(written.ok()) << size;
    EXPECT_LE(written->taken_over, 3U);
    EXPECT_EQ(bytes_of(dir_.file("out")), bytes_of(dir_.file("whole"))) << size;
  }
}

TEST_F(WriteQuantized, ResumeRefusesWhatIsSomethingElse) {
  OutputOptions o{dir_.file("out"), {}, true};
  interrupt(o, 4, "Q8_0");
  const std::string before = journal();
  const auto other = write(o);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidValue);
  EXPECT_THAT(other.error().message, HasSubstr("the type (was Q8_0, is Q4_0)"));
  EXPECT_EQ(journal(), before);
  set_journal("{}\n" + before);
  EXPECT_THAT(write(o).error().message, HasSubstr("kind"));
  set_journal(before);
  o.split = gguf::SplitLimits{.max_tensors = 2};
  EXPECT_THAT(write(o, "Q8_0").error().message, HasSubstr("the number of parts (was 1, is 4)"));
  o = {dir_.file("out"), {}, false};
  const auto anew = write(o);
  ASSERT_TRUE(anew.ok());
  EXPECT_THAT(anew->discarded, HasSubstr("the type"));
  EXPECT_EQ(anew->taken_over, 0U);
}

TEST(Journal, IsReadAsWritten) {
  const RunFingerprint run{{"the source", "a\"b"}, {"the type", "Q4_0"}};
  const Hash128 hash{3, 0xfedcba9876543210};
  const std::string text = journal_head(run) + journal_line(0, hash) + journal_line(1, hash);
  const auto journal = parse_journal(text);
  ASSERT_TRUE(journal.ok() && *journal);
  EXPECT_EQ((*journal)->run, run);
  EXPECT_EQ((*journal)->tensors, (std::vector<Hash128>{hash, hash}));
  EXPECT_EQ((*journal)->ends.back(), text.size());
  for (size_t size = 0; size < text.size(); ++size) {
    const auto cut = parse_journal(text.substr(0, size));
    ASSERT_TRUE(cut.ok()) << size;
    EXPECT_EQ(*cut ? (*cut)->tensors.size() : 0, size >= (*journal)->ends[1] ? 1U : 0U);
  }
}

TEST(Journal, LinesCountUpToTheFirstThatIsWrong) {
  const std::string good = journal_head({{"a", "b"}}) + journal_line(0, {1, 2});
  for (const std::string& bad : std::vector<std::string>{
           journal_line(2, {}), std::string("\0\0\0\n", 4),
           std::string("{\"tensor\":1,\"hash\":\"12\"}\n"),
           "{\"tensor\":1,\"hash\":\"" + std::string(32, 'g') + "\"}\n",
           std::string(500, ' ') + "\n", std::string("[1]\n"), std::string("{\"tensor\":1.5}\n")}) {
    EXPECT_EQ((*parse_journal(good + bad + journal_line(1, {})))->tensors.size(), 1U) << bad;
  }
  for (const char* head : {"\n", "{}\n", "{\"kind\":\"weir.quantize.unfinished\"}\n",
                           "{\"kind\":\"weir.quantize.unfinished\",\"run\":[[1,2]]}\n"}) {
    EXPECT_EQ(parse_journal(head).error().code, ErrorCode::kCorrupt) << head;
  }
  EXPECT_EQ(parse_journal(std::string(20'000, ' ') + "\n").error().code, ErrorCode::kCorrupt);
}

TEST(Journal, SaysWhatDiffers) {
  EXPECT_EQ(difference({{"x", "1"}}, {{"x", "1"}}), std::nullopt);
  EXPECT_EQ(*difference({{"x", "1"}}, {{"x", "2"}}), "x (was 1, is 2)");
  EXPECT_THAT(*difference({{"x", "1"}}, {{"y", "1"}}), HasSubstr("y is missing"));
  EXPECT_TRUE(difference({{"x", "1"}, {"y", "2"}}, {{"x", "1"}}));
}

}  // namespace
}  // namespace weir::ops
