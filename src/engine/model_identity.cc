#include "engine/model_identity.h"

#include <algorithm>
#include <string>
#include <vector>

namespace weir::engine {
namespace {

constexpr HashKey kKey{0x77656972206d6f64ULL, 0x656c206964303031ULL};  // "weir model id001"
constexpr size_t kSampleBytes = 1024;                                  // of each tensor

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
    digest.add(t.data.first(std::min(t.data.size(), kSampleBytes)));
  }
  return digest.value();
}

}  // namespace weir::engine
