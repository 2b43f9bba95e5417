#include "access/keys_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "config/table.h"

// A field of a struct, for Table::add.
#define WEIR_FIELD(type, path) \
  [](type & o) -> auto& { return o.path; }

namespace weir::access {
namespace {

constexpr config::YamlLimits kLimits{.max_bytes = 4 << 20, .max_depth = 8, .max_values = 200'000};
constexpr size_t kMaxTenants = 1'000;
constexpr size_t kMaxKeys = 10'000;
constexpr size_t kMaxNameBytes = 64;
constexpr std::string_view kKeyPrefix = "weir_";
constexpr size_t kIdBytes = 4;
constexpr size_t kSecretBytes = 24;  // 192 bits: SHA-256 of it needs no slow hash

struct RawKey {
  std::string id;
  std::string tenant;
  std::string sha256;
  std::string argon2id;
  std::vector<std::string> rights{"inference"};
};

config::Table<TenantSpec> tenant_table() {
  constexpr double kMany = 1e12;
  constexpr double kInt = 2147483647.0;
  config::Table<TenantSpec> t;
  t.add("weight", "", WEIR_FIELD(TenantSpec, weight), {.min = 0.001, .max = 1000});
  t.add("class", "", WEIR_FIELD(TenantSpec, service_class), {.choices = {"interactive", "batch"}});
  t.add("requests_per_min", "", WEIR_FIELD(TenantSpec, requests_per_min), {.min = 0, .max = kMany});
  t.add("tokens_per_min", "", WEIR_FIELD(TenantSpec, tokens_per_min), {.min = 0, .max = kMany});
  t.add("concurrent", "", WEIR_FIELD(TenantSpec, concurrent), {.min = 0, .max = kInt});
  t.add("max_input_tokens", "", WEIR_FIELD(TenantSpec, max_input_tokens), {.min = 0, .max = kInt});
  t.add("max_output_tokens", "", WEIR_FIELD(TenantSpec, max_output_tokens),
        {.min = 0, .max = kInt});
  t.add("max_running", "", WEIR_FIELD(TenantSpec, max_running), {.min = 0, .max = kInt});
  t.add("max_queued_requests", "", WEIR_FIELD(TenantSpec, max_queued_requests),
        {.min = 0, .max = kInt});
  t.add("max_queued_tokens", "", WEIR_FIELD(TenantSpec, max_queued_tokens),
        {.min = 0, .max = kMany});
  t.add("models", "", WEIR_FIELD(TenantSpec, models), {});
  return t;
}

config::Table<RawKey> key_table() {
  config::Table<RawKey> t;
  t.add("id", "", WEIR_FIELD(RawKey, id), {});
  t.add("tenant", "", WEIR_FIELD(RawKey, tenant), {});
  t.add("sha256", "", WEIR_FIELD(RawKey, sha256), {.secret = true});
  t.add("argon2id", "", WEIR_FIELD(RawKey, argon2id), {.secret = true});
  t.add("rights", "", WEIR_FIELD(RawKey, rights), {});
  return t;
}

// Letters, digits and "-_.": it appears in metrics, logs and headers.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

constexpr const char* kNameRule = "a tenant's name has 1 to 64 letters, digits and - _ .";

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  Result<KeysFile> read(const config::Node& file) {
    if (file.kind != config::Node::Kind::kMap)
      return wrong(file.line, "must hold tenants: and keys:");
    for (const config::Member& m : file.members) {
      if (m.key != "tenants" && m.key != "keys")
        return wrong(m.line, fmt::format("unknown key \"{}\"; there are tenants and keys",
                                         m.key.substr(0, 100)));
    }
    if (const config::Node* tenants = file.find("tenants")) WEIR_TRY(read_tenants(*tenants));
    if (const config::Node* keys = file.find("keys")) WEIR_TRY(read_keys(*keys));
    return std::move(result_);
  }

 private:
  Error wrong(int line, const std::string& what) const {
    return make_error(ErrorCode::kCorrupt, "{}:{}: {}", name_, std::max(line, 1), what);
  }

  template <typename T>
  Result<T> fields(const config::Table<T>& table, const config::Node& node) const {
    config::Sources sources;
    sources.file_name = name_;
    sources.file = node;
    WEIR_ASSIGN(const config::Settings s, config::Settings::resolve(table.keys(), sources));
    return table.make(s);
  }

  Status read_tenants(const config::Node& node) {
    using Kind = config::Node::Kind;
    if (node.kind == Kind::kNull) return {};
    if (node.kind != Kind::kMap) return wrong(node.line, "tenants must be a map of names");
    if (node.members.size() > kMaxTenants)
      return wrong(node.line, fmt::format("more than {} tenants", kMaxTenants));
    const config::Table<TenantSpec> table = tenant_table();
    for (const config::Member& m : node.members) {
      if (!is_name(m.key)) return wrong(m.line, kNameRule);
      WEIR_ASSIGN(TenantSpec t, fields(table, m.value));
      t.name = m.key;
      names_.push_back(m.key);
      result_.tenants.push_back(std::move(t));
    }
    return {};
  }

  Status read_keys(const config::Node& node) {
    using Kind = config::Node::Kind;
    if (node.kind == Kind::kNull) return {};
    if (node.kind != Kind::kList) return wrong(node.line, "keys must be a list");
    if (node.items.size() > kMaxKeys)
      return wrong(node.line, fmt::format("more than {} keys", kMaxKeys));
    const config::Table<RawKey> table = key_table();
    for (const config::Node& item : node.items) {
      WEIR_ASSIGN(const RawKey raw, fields(table, item));
      WEIR_ASSIGN(KeyEntry entry, entry_of(raw, item.line));
      result_.keys.push_back(std::move(entry));
    }
    return {};
  }

  Result<KeyEntry> entry_of(const RawKey& raw, int line) {
    KeyEntry e;
    e.id = raw.id;
    e.tenant = raw.tenant;
    if (!is_name(raw.id)) return wrong(line, "id has 1 to 64 letters, digits and - _ .");
    if (!ids_.insert(raw.id).second) return wrong(line, "the id " + raw.id + " stands twice");
    if (std::find(names_.begin(), names_.end(), raw.tenant) == names_.end()) {
      const std::string_view near =
          config::nearest(raw.tenant, std::span<const std::string>(names_));
      return wrong(line,
                   fmt::format("tenant \"{}\" is not under tenants{}", raw.tenant.substr(0, 100),
                               near.empty() ? "" : fmt::format("; the nearest is \"{}\"", near)));
    }
    if (raw.sha256.empty() == raw.argon2id.empty())
      return wrong(line, "a key has either sha256 or argon2id");
    if (raw.argon2id.empty()) {
      auto digest = parse_digest(raw.sha256);
      if (!digest.ok()) return wrong(line, "sha256 " + digest.error().message);
      e.sha256 = *digest;
    } else {
      if (const Status ok = check_argon2id(raw.argon2id); !ok.ok())
        return wrong(line, "argon2id " + ok.error().message);
      e.argon2id = raw.argon2id;
    }
    WEIR_ASSIGN(e.rights, rights_of(raw, line));
    return e;
  }

  Result<unsigned> rights_of(const RawKey& raw, int line) const {
    unsigned rights = 0;
    for (const std::string& r : raw.rights) {
      if (r == "inference") {
        rights |= static_cast<unsigned>(Right::kInference);
      } else if (r == "admin") {
        rights |= static_cast<unsigned>(Right::kAdmin);
      } else if (r == "metrics") {
        rights |= static_cast<unsigned>(Right::kMetrics);
      } else {
        return wrong(line, fmt::format("unknown right \"{}\"; there are inference, admin, metrics",
                                       r.substr(0, 100)));
      }
    }
    return rights;
  }

  const std::string& name_;
  std::vector<std::string> names_;
  std::set<std::string> ids_;
  KeysFile result_;
};

}  // namespace

Result<KeysFile> parse_keys(const config::Node& file, const std::string& name) {
  return Reader(name).read(file);
}

Result<KeysFile> parse_keys_text(std::string_view text, const std::string& name) {
  WEIR_ASSIGN(const config::Node file, config::parse_yaml(text, name, kLimits));
  return parse_keys(file, name);
}

Result<KeysFile> read_keys(const std::string& path) {
  WEIR_ASSIGN(const config::Node file, config::read_yaml(path, kLimits));
  return parse_keys(file, path);
}

std::string weak_permissions(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return "";
  if ((s.st_mode & S_IWOTH) != 0) return "everyone can change it";
  if ((s.st_mode & S_IROTH) != 0) return "everyone can read it";
  if ((s.st_mode & S_IWGRP) != 0) return "its group can change it";
  return "";
}

Result<NewKey> make_key(const std::string& tenant, bool argon2) {
  if (!is_name(tenant))
    return make_error(ErrorCode::kUsage, "{}; \"{}\" is none", kNameRule, tenant.substr(0, 100));
  WEIR_ASSIGN(const std::string id, random_bytes(kIdBytes));
  WEIR_ASSIGN(const std::string secret, random_bytes(kSecretBytes));
  NewKey k;
  k.entry.id = to_hex(id);
  k.entry.tenant = tenant;
  k.key = fmt::format("{}{}_{}", kKeyPrefix, k.entry.id, to_hex(secret));
  k.entry.sha256 = sha256(k.key);
  if (argon2) {
    WEIR_ASSIGN(k.entry.argon2id, make_argon2id(k.key));
  }
  return k;
}

std::string_view id_of_key(std::string_view key) {
  if (!key.starts_with(kKeyPrefix)) return {};
  key.remove_prefix(kKeyPrefix.size());
  const size_t end = key.find('_');
  return end == std::string_view::npos ? std::string_view() : key.substr(0, end);
}

std::string render_entry(const KeyEntry& e) {
  std::vector<std::string_view> rights;
  for (const auto& [right, name] :
       {std::pair(Right::kInference, "inference"), std::pair(Right::kAdmin, "admin"),
        std::pair(Right::kMetrics, "metrics")}) {
    if ((e.rights & static_cast<unsigned>(right)) != 0) rights.emplace_back(name);
  }
  const std::string hash = e.argon2id.empty() ? "sha256: \"" + to_hex(e.sha256) + '"'
                                              : "argon2id: \"" + e.argon2id + '"';
  return fmt::format("  - {{tenant: \"{}\", id: \"{}\", rights: [{}], {}}}\n", e.tenant, e.id,
                     fmt::join(rights, ", "), hash);
}

}  // namespace weir::access
