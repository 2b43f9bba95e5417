#include "kernels/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace weir::kernels {
namespace {

// From the heap, a mapping of small pages, one of huge pages.
constexpr size_t kSizes[] = {0, 1, 100, (128 << 10) - 1, 128 << 10, 3 << 20};

std::span<std::byte> all(AlignedBuffer& b) { return {b.data(), b.size()}; }

void expect_zeros(AlignedBuffer& b) {
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0U) << b.size();
  EXPECT_TRUE(std::all_of(all(b).begin(), all(b).end(), [](std::byte v) {
    return v == std::byte{};
  })) << b.size();
}

TEST(AlignedBuffer, IsZeroedAndMoves) {
  for (const size_t bytes : kSizes) {
    AlignedBuffer a = AlignedBuffer::allocate(bytes);
    ASSERT_NE(a.data(), nullptr);
    ASSERT_EQ(a.size(), bytes);
    expect_zeros(a);
    std::fill(all(a).begin(), all(a).end(), std::byte{7});
    AlignedBuffer b = std::move(a);
    if (bytes > 0) {
      EXPECT_EQ(b.data()[bytes - 1], std::byte{7});
    }
  }
}

TEST(AlignedBuffer, RefusesWhatNoMachineHas) {
  EXPECT_EQ(AlignedBuffer::allocate(SIZE_MAX).data(), nullptr);
  EXPECT_EQ(AlignedBuffer::allocate(SIZE_MAX / 4).data(), nullptr);
  BufferArena arena;
  EXPECT_EQ(arena.allocate(SIZE_MAX).data(), nullptr);
  EXPECT_EQ(arena.allocate(SIZE_MAX / 4).data(), nullptr);
  EXPECT_NE(arena.allocate(100).data(), nullptr) << "and goes on";
}

// More than one chunk of 64 MiB, with a buffer larger than a chunk between.
TEST(BufferArena, GivesBuffersOfTheirOwn) {
  BufferArena arena;
  std::vector<AlignedBuffer> buffers;
  for (const size_t mib : {0, 40, 0, 40, 70, 0, 1}) {
    buffers.push_back(arena.allocate((mib << 20) + 100));
    ASSERT_NE(buffers.back().data(), nullptr);
    ASSERT_EQ(buffers.back().size(), (mib << 20) + 100);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffers.back().data()) % 64, 0U);
  }
  uint8_t mark = 1;
  for (AlignedBuffer& b : buffers) {
    EXPECT_EQ(b.data()[0], std::byte{0});
    EXPECT_EQ(b.data()[b.size() - 1], std::byte{0});
    b.data()[0] = b.data()[b.size() - 1] = std::byte{mark++};
  }
  const BufferArena moved = std::move(arena);
  mark = 1;
  for (const AlignedBuffer& b : buffers) {
    EXPECT_EQ(b.data()[0], std::byte{mark});
    EXPECT_EQ(b.data()[b.size() - 1], std::byte{mark++});
  }
}

}  // namespace
}  // namespace weir::kernels
