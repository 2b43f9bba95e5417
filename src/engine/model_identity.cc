#include "engine/model_identity.h"

#include <algorithm>
#include <string>
#include <vector>

namespace weir::engine {
namespace {

// "weir model id002". The number goes up with what is looked at: what was kept under an older
// identity is then that of another model.
constexpr HashKey kKey{0x77656972206d6f64ULL, 0x656c206964303032ULL};
constexpr size_t kSampleBytes = 1024;
// Of each tensor: the first, the last, and evenly spaced ones between. A file of 70B parameters has
// 723 tensors: 11.6 MB to hash, some 12 ms, and 11,568 places to read, a second or so where none of
// them is in memory, which loading reads anyway.
constexpr size_t kSamples = 16;

class Digest {
 public:
  void add(std::span<const std::byte> bytes) {
    const auto sum = keyed_hash(kKey, bytes).bytes();
    sums_.insert(sums_.end(), sum.begin(), sum.end());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }
  void add(uint64_t number) { add(std::as_bytes(std::span(&number, 1))); }
  Hash128 value() const { return keyed_hash(kKey, sums_); }

 private:
  std::vector<std::byte> sums_;
};

void add_samples(std::span<const std::byte> data, Digest& digest) {
  if (data.size() <= kSamples * kSampleBytes) return digest.add(data);
  const size_t last = data.size() - kSampleBytes;
  for (size_t i = 0; i < kSamples; ++i) {
    // In two steps, which cannot overflow.
    const size_t at = last / (kSamples - 1) * i + last % (kSamples - 1) * i / (kSamples - 1);
    digest.add(data.subspan(at, kSampleBytes));
  }
}

}  // namespace

Hash128 model_identity(const gguf::File& file) {
  Digest digest;
  for (const gguf::Metadata& m : file.metadata()) {
    digest.add(m.key);
    digest.add(static_cast<uint64_t>(m.value.type));
    digest.add(m.value.raw);
  }
  for (const gguf::Tensor& t : file.tensors()) {
    digest.add(t.name);
    digest.add(static_cast<uint64_t>(t.type));
    for (const uint64_t n : t.shape) digest.add(n);
    add_samples(t.data, digest);
  }
  return digest.value();
}

}  // namespace weir::engine
