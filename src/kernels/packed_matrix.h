// A weight matrix in the layout that the matmul kernels read: panels of some output rows (16 on
// AVX-512, 8 on AVX2).
//
// Panel of R rows of an integer format, K in blocks of 32, one forward stream:
//   per block: low bits of the codes, high bits, scales [1 or 2][R] f16, mins [1 or 2][R] f16.
//   k-quants: per super-block D [R] f16, M [R] f16; then its blocks with scales and mins in int8.
//   4 consecutive K of one row (a group) lie together, so one R*4-byte load meets one broadcast of
//   4 activation codes. In byte i of row r of a load: 8 bits: load g holds k = 4g + i. 4 bits: load
//   g holds k = 4g + i low, k = 16 + 4g + i high. 2 bits: load j holds k = 4 (4j + f) + i in bits
//   2f. 1 bit: k = 4g + i in bit g. Two scales: of k < 16 and of k >= 16.
// Panel of a float format: [K][R] values. Rows past the end are zero. Panels start at multiples of
// 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "gguf/tensor_type.h"
#include "kernels/aligned_buffer.h"
#include "kernels/isa.h"
#include "kernels/panel_format.h"
#include "kernels/thread_pool.h"

namespace weir::kernels {

// The panel format a tensor type is stored in, with the values of the file; but the scale products
// of IQ4_XS are rounded to f16 and scales of MXFP4 below 2^-24 count as 0. F64 becomes kF32; the
// other block formats are decoded and rounded to kQ8. Errors: kUnsupported.
Result<PanelFormat> panel_format(gguf::TensorType type);

// Whether a type has no panels of its own codes and is decoded and rounded to kQ8. False for what
// panel_format refuses.
bool is_reencoded(gguf::TensorType type);

// Bytes of the packed form for memory planning before loading. Precondition: cols as pack() wants.
size_t packed_bytes(PanelFormat format, size_t rows, size_t cols, Isa isa);

struct PackOptions {
  BufferArena* arena = nullptr;  // where the memory comes from; nullptr: the matrix has its own
  // Run once by one worker while the others pack, so that work of one thread costs no time of its
  // own; or nullptr. Not run when pack() refuses its arguments. Must not use the pool.
  const std::function<void()>* beside = nullptr;
};

// Logical [rows (out), cols (in)]. Immutable after pack(); any thread may read. Movable; owns its
// memory, unless that is of an arena.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // data: rows * cols values in the file's format, row-major, any alignment. cols must be a
  // multiple of the type's block (and of 32 for quantized types). Errors: kUnsupported (type),
  // kCorrupt (size or shape does not fit the type, a value that is NaN or infinite, a scale outside
  // f16), kOutOfMemory.
  static Result<PackedMatrix> pack(gguf::TensorType type, std::span<const std::byte> data,
                                   size_t rows, size_t cols, Isa isa, ThreadPool& pool,
                                   const PackOptions& options = {});

  bool empty() const { return rows_ == 0; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t bytes() const { return buffer_.size(); }
  PanelFormat format() const { return format_; }
  Isa isa() const { return isa_; }

  size_t panel_rows() const { return panel_rows_; }
  size_t panels() const { return panel_rows_ == 0 ? 0 : (rows_ + panel_rows_ - 1) / panel_rows_; }
  size_t panel_bytes() const { return panel_bytes_; }
  const std::byte* panel(size_t i) const { return buffer_.data() + i * panel_bytes_; }

 private:
  AlignedBuffer buffer_;
  size_t rows_ = 0;
  size_t cols_ = 0;
  size_t panel_rows_ = 0;
  size_t panel_bytes_ = 0;
  PanelFormat format_ = PanelFormat::kF32;
  Isa isa_ = Isa::kScalar;
};

}  // namespace weir::kernels
