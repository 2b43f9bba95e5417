// A keys file from outside: what is accepted names known tenants, and its argon2id stays within its
// bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "access/keys_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::access::parse_keys_text;
  const auto file = parse_keys_text({reinterpret_cast<const char*>(data), size}, "keys.yaml");
  if (!file.ok()) return 0;
  for (const auto& key : file->keys) {
    bool known = false;
    for (const auto& tenant : file->tenants) known = known || tenant.name == key.tenant;
    if (!known) std::abort();
    if (!key.argon2id.empty() && !weir::access::check_argon2id(key.argon2id).ok()) std::abort();
  }
  return 0;
}
