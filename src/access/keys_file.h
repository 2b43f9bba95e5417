// The file of tenants and keys.
//
//   tenants:
//     acme: {weight: 2, requests_per_min: 600, tokens_per_min: 100000, concurrent: 8}
//   keys:
//     - {tenant: acme, id: 3f9ab120, sha256: "…64 digits…", rights: [inference]}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "access/key_hash.h"
#include "access/tenant_limits.h"
#include "base/result.h"
#include "config/yaml.h"

namespace weir::access {

enum class Right : unsigned { kInference = 1, kAdmin = 2, kMetrics = 4 };

struct KeyEntry {
  std::string id;  // part of keys that weir makes; names the key where the key must not appear
  std::string tenant;
  Digest sha256{};  // of the key, when argon2id is empty
  std::string argon2id;
  unsigned rights = static_cast<unsigned>(Right::kInference);
};

struct KeysFile {
  std::vector<TenantSpec> tenants;
  std::vector<KeyEntry> keys;
};

// Error kCorrupt names file, line, and of an unknown key or tenant the nearest.
Result<KeysFile> parse_keys(const config::Node& file, const std::string& name);
// With the bounds of this file. Errors: those of config::read_yaml and parse_keys.
Result<KeysFile> read_keys(const std::string& path);
// The same for text that is already there.
Result<KeysFile> parse_keys_text(std::string_view text, const std::string& name);

// Why others than the owner can read or change the file; "" when they cannot, or it is not there.
std::string weak_permissions(const std::string& path);

// A key as weir makes it: "weir_ID_SECRET".
struct NewKey {
  std::string key;
  KeyEntry entry;
};
// argon2: kept as argon2id instead of SHA-256. Errors: kUsage for no name of a tenant; those of
// random_bytes.
Result<NewKey> make_key(const std::string& tenant, bool argon2);
// The id in such a key; "" where there is none.
std::string_view id_of_key(std::string_view key);

// An entry as a line of the file's `keys`.
std::string render_entry(const KeyEntry& entry);

}  // namespace weir::access
