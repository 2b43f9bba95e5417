#include "checkpoint/quantize_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "checkpoint/quantize_pack.h"
#include "checkpoint/quantized.h"
#include "quant/half.h"

namespace weir::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<uint32_t> packed(void (*pack)(const CodeStrip&, std::span<std::byte>), size_t rows,
                             size_t cols, int bits, const std::vector<uint8_t>& codes,
                             size_t words) {
  std::vector<uint32_t> out(words);
  for (size_t first = 0; first < rows; first += 8) {  // strips, as threads take them
    const size_t count = std::min<size_t>(8, rows - first);
    pack({first, count, rows, cols, bits, std::span(codes).subspan(first * cols, count * cols)},
         std::as_writable_bytes(std::span(out)));
  }
  return out;
}

// Code of row r, column c.
std::vector<uint8_t> table(size_t rows, size_t cols, unsigned (*code)(size_t, size_t)) {
  std::vector<uint8_t> out;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) out.push_back(static_cast<uint8_t>(code(r, c)));
  }
  return out;
}

TEST(QuantizePack, AlongRows) {
  const auto codes = table(2, 10, [](size_t r, size_t c) { return static_cast<unsigned>(c + r); });
  EXPECT_THAT(packed(pack_along_rows, 2, 10, 4, codes, 4),
              ElementsAre(0x76543210, 0x98, 0x87654321, 0xa9));
  EXPECT_THAT(packed(pack_along_rows, 1, 5, 8, {1, 2, 3, 4, 5}, 2), ElementsAre(0x04030201, 5));
}

TEST(QuantizePack, ColumnsAcross) {
  const auto codes = table(2, 8, [](size_t r, size_t c) { return static_cast<unsigned>(c + r); });
  EXPECT_THAT(packed(pack_columns_across, 2, 8, 4, codes, 2), ElementsAre(0x76543210, 0x87654321));
  EXPECT_THAT(packed(pack_columns_across, 2, 8, 8, codes, 4),
              ElementsAre(0x03020100, 0x04030201, 0x07060504, 0x08070605));
}

TEST(QuantizePack, RowsAcross) {
  const auto codes =
      table(16, 2, [](size_t r, size_t c) { return static_cast<unsigned>((r + c) % 16); });
  EXPECT_THAT(packed(pack_rows_across, 16, 2, 4, codes, 4),
              ElementsAre(0x76543210, 0xfedcba98, 0x87654321, 0x0fedcba9));
}

TEST(QuantizePack, RowsDown) {
  const auto codes = table(10, 2, [](size_t r, size_t c) { return static_cast<unsigned>(r + c); });
  EXPECT_THAT(packed(pack_rows_down, 10, 2, 4, codes, 4),
              ElementsAre(0x76543210, 0x87654321, 0x98, 0xa9));
}

TEST(QuantizePack, Awq) {
  // AutoAWQ: word = sum of w[order[i]] << 4 i with the order 0 2 4 6 1 3 5 7.
  const auto codes =
      table(16, 2, [](size_t r, size_t c) { return static_cast<unsigned>((r + c) % 16); });
  EXPECT_THAT(packed(pack_awq, 16, 2, 4, codes, 4),
              ElementsAre(0x75316420, 0xfdb9eca8, 0x86427531, 0x0ecafdb9));
}

struct Matrix {
  std::vector<float> values;
  std::vector<uint16_t> halves;
  SafeTensor tensor;
};

Matrix matrix(size_t rows, size_t cols, std::vector<float> values, Dtype dtype) {
  Matrix m;
  m.values = std::move(values);
  for (float& v : m.values) {
    const uint16_t half = dtype == Dtype::kF16 ? quant::f32_to_f16(v) : quant::f32_to_bf16(v);
    if (dtype == Dtype::kF32) continue;
    m.halves.push_back(half);
    v = dtype == Dtype::kF16 ? quant::f16_to_f32(half) : quant::bf16_to_f32(half);
  }
  m.tensor.name = "model.layers.0.self_attn.q_proj.weight";
  m.tensor.dtype = dtype;
  m.tensor.shape = {rows, cols};
  m.tensor.data = dtype == Dtype::kF32 ? std::as_bytes(std::span(m.values))
                                       : std::as_bytes(std::span(m.halves));
  return m;
}

QuantizeScheme scheme(const SchemeRequest& request) {
  auto s = find_scheme(request);
  EXPECT_TRUE(s.ok()) << s.error().message;
  return *s;
}

const std::vector<SchemeRequest>& all_schemes() {
  static const std::vector<SchemeRequest> all = {{"compressed-tensors", "W4A16", 32, {}},
                                                 {"compressed-tensors", "W4A16_ASYM", 64, {}},
                                                 {"compressed-tensors", "W8A16", 128, false},
                                                 {"compressed-tensors", "W8A8", {}, {}},
                                                 {"compressed-tensors", "FP8", {}, {}},
                                                 {"compressed-tensors", "FP8_DYNAMIC", {}, {}},
                                                 {"compressed-tensors", "FP8_BLOCK", {}, {}},
                                                 {"compressed-tensors", "NVFP4", {}, {}},
                                                 {"compressed-tensors", "NVFP4A16", {}, {}},
                                                 {"compressed-tensors", "MXFP4", {}, {}},
                                                 {"gptq", "W4A16", 32, {}},
                                                 {"gptq", "W4A16", 64, false},
                                                 {"gptq", "W8A16", {}, {}},
                                                 {"awq", "", 32, {}}};
  return all;
}

// As much as schemes with fixed inputs ask for.
const MatrixCalibration kMeasured{{}, nullptr, 3};

// Through the reader: [rows, cols]. Empty after a failure.
std::vector<float> round_trip(const QuantizeScheme& s, const Matrix& m, float largest = 0,
                              const MatrixCalibration& calibration = kMeasured,
                              const Fold* fold = nullptr) {
  kernels::ThreadPool pool(3);
  const auto parts = parts_of(s, m.tensor);
  EXPECT_TRUE(parts.ok()) << parts.error().message;
  const auto bytes = encode_matrix(s, m.tensor, largest, pool, calibration, fold);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  if (!parts.ok() || !bytes.ok()) return {};
  std::vector<SafeTensor> tensors;
  for (size_t i = 0; i < parts->size(); ++i) {
    const SafeTensorInfo& p = (*parts)[i];
    EXPECT_EQ(p.bytes(), (*bytes)[i].size()) << p.name;
    tensors.push_back({p.name, p.dtype, p.shape, (*bytes)[i]});
  }
  const auto config = read_quantization_config(quantization_config(s, {}));
  EXPECT_TRUE(config.ok()) << config.error().message;
  const auto joined = join_quantized(*config, std::move(tensors));
  EXPECT_TRUE(joined.ok()) << joined.error().message;
  if (!joined.ok() || joined->size() != 1) return {};
  EXPECT_EQ(joined->front().name, m.tensor.name);
  EXPECT_EQ(joined->front().shape, m.tensor.shape);
  std::vector<float> out(m.values.size());
  const size_t cols = m.tensor.shape[1];
  for (size_t row = 0; row < m.tensor.shape[0]; ++row)
    joined->front().quantized->read_row(row, std::span(out).subspan(row * cols, cols));
  return out;
}

// Values that every scheme has codes for: in each group both ends of it, with a power of two for
// its scale.
std::vector<float> exact_values(const QuantizeScheme& s, size_t rows, size_t cols) {
  std::vector<float> out;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      const size_t i = (c * 7 + r) % 16;
      float v = static_cast<float>(i) - 8;  // -8 to 7
      const float e2m1[16] = {0, .5F, 1, 1.5F, 2, 3, 4, 6, -.5F, -1, -1.5F, -2, -3, -4, -6, 6};
      if (s.codes == QuantizeScheme::Codes::kNvfp4 || s.codes == QuantizeScheme::Codes::kMxfp4)
        v = e2m1[i];
      // Of 8 bits the ends are needed, too.
      const bool eight = s.codes == QuantizeScheme::Codes::kInteger && s.bits == 8;
      if (eight && i == 0) v = -128;
      if (eight && i == 15) v = 127;
      if (s.codes == QuantizeScheme::Codes::kE4m3 && i == 0) v = 448;
      out.push_back(std::ldexp(v, static_cast<int>(r % 2) - 6));
    }
  }
  return out;
}

TEST(QuantizeMatrix, ValuesThatHaveCodesComeBackAsTheyWere) {
  for (const SchemeRequest& request : all_schemes()) {
    const QuantizeScheme s = scheme(request);
    for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16, Dtype::kF32}) {
      const Matrix m = matrix(40, 256, exact_values(s, 40, 256), dtype);
      // NVFP4: 448 * 6 / largest is a power of two, too.
      const float largest = s.whole ? 448 * 0x1p-5F : 448 * 6 * 0x1p-13F;
      EXPECT_EQ(round_trip(s, m, largest), m.values)
          << request.format << ' ' << s.name << ' ' << dtype_name(dtype);
    }
  }
}

// The largest error that the codes of a scheme may have, as a part of the largest value.
double bound(const QuantizeScheme& s) {
  switch (s.codes) {
    case QuantizeScheme::Codes::kInteger:
      return s.bits == 8 ? 0.15 : 0.45;  // what is cut off at the ends
    case QuantizeScheme::Codes::kE4m3:
      return 0.17;
    default:
      return 0.35;
  }
}

TEST(QuantizeMatrix, ErrorsAreThoseOfTheCodes) {
  std::vector<float> values(136 * 128);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(random_unit(1, 0, i) + random_unit(1, 1, i) - 1) * 0.1F;
  }
  for (const SchemeRequest& request : all_schemes()) {
    const QuantizeScheme s = scheme(request);
    const Matrix m = matrix(136, 128, values, Dtype::kBF16);
    kernels::ThreadPool pool(2);
    const float largest = *largest_value(m.tensor, pool);
    const std::vector<float> got = round_trip(s, m, largest);
    ASSERT_EQ(got.size(), values.size());
    double square = 0, error = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double rest = got[i] - m.values[i];
      square += m.values[i] * m.values[i];
      error += rest * rest;
      EXPECT_LE(std::fabs(rest), bound(s) * largest);
    }
    // Relative squared error: some 4 bits 1 %, 8 bits by far less.
    EXPECT_LT(error / square, s.bits == 8 ? 0.0015 : 0.018) << request.format << ' ' << s.name;
  }
}

TEST(QuantizeMatrix, ThreadsDoNotChangeBytes) {
  std::vector<float> values(72 * 128);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random_unit(2, 0, i)) - 0.5F;
  const Matrix m = matrix(72, 128, values, Dtype::kBF16);
  for (const SchemeRequest& request : all_schemes()) {
    kernels::ThreadPool one(1), many(4);
    EXPECT_EQ(*encode_matrix(scheme(request), m.tensor, 0.5F, one, kMeasured),
              *encode_matrix(scheme(request), m.tensor, 0.5F, many, kMeasured));
  }
}

TEST(QuantizeMatrix, AMatrixOfZeros) {
  const Matrix m = matrix(16, 128, std::vector<float>(16 * 128), Dtype::kBF16);
  for (const SchemeRequest& request : all_schemes())
    EXPECT_EQ(round_trip(scheme(request), m), m.values) << request.format << request.scheme;
}

TEST(QuantizeMatrix, SizesThatDoNotFitAreNamed) {
  const QuantizeScheme w4 = scheme({"compressed-tensors", "W4A16", {}, {}});
  const Matrix m = matrix(12, 192, std::vector<float>(12 * 192), Dtype::kBF16);
  EXPECT_THAT(parts_of(w4, m.tensor).error().message,
              AllOf(HasSubstr("q_proj.weight"), HasSubstr("192 columns"), HasSubstr("the 128"),
                    HasSubstr("--group-size 64 fits")));
  EXPECT_THAT(parts_of(scheme({"gptq", "", 64, {}}), m.tensor).error().message,
              HasSubstr("12 rows are no multiple of the 8"));
  EXPECT_TRUE(parts_of(scheme({"gptq", "W8A16", 64, {}}), m.tensor).ok());
  EXPECT_TRUE(parts_of(scheme({"compressed-tensors", "FP8_BLOCK", {}, {}}), m.tensor).ok());
  SafeTensor wide = m.tensor;
  wide.dtype = Dtype::kF64;
  EXPECT_THAT(parts_of(w4, wide).error().message, HasSubstr("is F64"));
}

TEST(QuantizeMatrix, ValuesThatAreNoneAreNamed) {
  Matrix m = matrix(40, 128, std::vector<float>(40 * 128, 1), Dtype::kF32);
  m.values[33 * 128 + 5] = std::nanf("");
  kernels::ThreadPool pool(2);
  for (const SchemeRequest& request : all_schemes()) {
    const auto got = encode_matrix(scheme(request), m.tensor, 1, pool, kMeasured);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, ErrorCode::kInvalidValue);
    EXPECT_THAT(got.error().message,
                AllOf(HasSubstr("q_proj.weight"), HasSubstr("row 33, column 5")));
  }
  EXPECT_FALSE(largest_value(m.tensor, pool).ok());
  m.values[33 * 128 + 5] = 1e9F;
  EXPECT_THAT(encode_matrix(scheme({"awq", "", {}, {}}), m.tensor, 0, pool).error().message,
              AllOf(HasSubstr("row 33"), HasSubstr("scale in F16")));
}

// Takes the code above the nearest, where there is one.
class OneMore final : public CodeChooser {
 public:
  Status choose(const GroupedRows& x, std::span<uint8_t> codes) const override {
    const size_t width = x.cols / x.groups;
    for (size_t i = 0; i < x.values.size(); ++i) {
      const size_t group = i / x.cols * x.groups + i % x.cols / width;
      const float code = std::nearbyint(x.values[i] / x.scales[group]) + x.zeros[group];
      codes[i] = static_cast<uint8_t>(std::clamp<float>(code + 1, 0, (1 << x.bits) - 1));
    }
    return {};
  }
};

TEST(QuantizeMatrix, CodesAreThoseThatAreChosen) {
  const OneMore chooser;
  for (const SchemeRequest& request : all_schemes()) {
    const QuantizeScheme s = scheme(request);
    if (s.codes != QuantizeScheme::Codes::kInteger) continue;
    const Matrix m = matrix(40, 256, exact_values(s, 40, 256), Dtype::kBF16);
    const std::vector<float> got = round_trip(s, m, 0, {{}, &chooser, 0});
    for (size_t i = 0; i < got.size(); ++i) {
      const float unit = std::ldexp(1.0F, static_cast<int>(i / 256 % 2) - 6);
      const float most = unit * (s.bits == 8 ? 127 : 7);
      ASSERT_EQ(got[i], std::min(m.values[i] + unit, most)) << request.format << s.name << i;
    }
  }
}

TEST(QuantizeMatrix, AFoldMultipliesRowsAndColumns) {
  const QuantizeScheme s = scheme({"compressed-tensors", "W8A8", {}, {}});
  const Matrix m = matrix(40, 256, exact_values(s, 40, 256), Dtype::kBF16);
  Fold fold;
  for (size_t r = 0; r < 40; ++r) fold.rows.push_back(std::ldexp(1.0F, static_cast<int>(r % 5)));
  EXPECT_EQ(round_trip(s, m, 0, {}, &fold)[39 * 256], m.values[39 * 256] * 16);
  fold.columns.assign(256, 0.5F);
  fold.columns[3] = 0;
  const std::vector<float> got = round_trip(s, m, 0, {}, &fold);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], m.values[i] * fold.rows[i / 256] * fold.columns[i % 256]);
}

TEST(QuantizeMatrix, FixedInputsAreWrittenOrAskedFor) {
  const Matrix m = matrix(16, 64, std::vector<float>(size_t{16} * 64, 1), Dtype::kF32);
  kernels::ThreadPool pool(1);
  const auto last = [&](const char* name, const char* part) {
    const QuantizeScheme s = scheme({"compressed-tensors", name, {}, {}});
    EXPECT_THAT(encode_matrix(s, m.tensor, 1, pool).error().message,
                AllOf(HasSubstr("q_proj.weight"), HasSubstr("not measured")));
    EXPECT_TRUE(parts_of(s, m.tensor)->back().name.ends_with(part));
    const auto bytes = encode_matrix(s, m.tensor, 1, pool, {{}, nullptr, 896});
    EXPECT_TRUE(bytes.ok());
    float value = 0;
    std::memcpy(&value, bytes->back().data(), sizeof value);
    return value;
  };
  EXPECT_EQ(last("FP8", "q_proj.input_scale"), 2);
  EXPECT_EQ(last("NVFP4", "q_proj.input_global_scale"), 3);
}

TEST(QuantizeScheme, WhatCannotBeWrittenIsNamed) {
  const auto refused = [](const SchemeRequest& r) {
    const auto s = find_scheme(r);
    EXPECT_FALSE(s.ok());
    return s.ok() ? "" : s.error().message;
  };
  EXPECT_THAT(refused({"compressed-tensors", "W3A16", {}, {}}), HasSubstr("there are W4A16"));
  EXPECT_THAT(refused({"compressed-tensors", "", {}, {}}), HasSubstr("--scheme is missing"));
  EXPECT_THAT(refused({"marlin", "W4A16", {}, {}}), HasSubstr("--format marlin"));
  EXPECT_THAT(refused({"gptq", "FP8_DYNAMIC", {}, {}}), HasSubstr("compressed-tensors"));
  EXPECT_THAT(refused({"awq", "W8A16", {}, {}}), HasSubstr("4 bits"));
  EXPECT_THAT(refused({"awq", "", {}, true}), HasSubstr("zero points"));
  EXPECT_THAT(refused({"gptq", "", 48, {}}), HasSubstr("32, 64 and 128"));
  EXPECT_THAT(refused({"compressed-tensors", "FP8_BLOCK", 64, {}}), HasSubstr("groups are fixed"));
  EXPECT_THAT(refused({"compressed-tensors", "W8A8", {}, false}), HasSubstr("--asymmetric"));
  EXPECT_THAT(refused({"compressed-tensors", "W4A16_ASYM", {}, true}), HasSubstr("--symmetric"));
}

}  // namespace
}  // namespace weir::checkpoint
