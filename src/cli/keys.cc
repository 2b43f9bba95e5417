// weir keys: new keys for the keys file.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>

#include "access/keys_file.h"
#include "cli/command.h"
#include "config/key.h"
#include "os/file.h"
#include "text/json.h"

namespace weir::cli {
namespace {

constexpr uint64_t kMaxFileBytes = 4 << 20;

struct Options {
  std::vector<std::string> tenants;
  std::vector<std::string> rights{"inference"};
  std::string file;
  bool argon2 = false;
  bool json = false;
};

Result<std::vector<access::NewKey>> make_keys(const Options& o) {
  unsigned rights = 0;
  for (const std::string& r : o.rights) {
    rights |= static_cast<unsigned>(r == "admin"     ? access::Right::kAdmin
                                    : r == "metrics" ? access::Right::kMetrics
                                                     : access::Right::kInference);
  }
  std::vector<access::NewKey> keys;
  for (const std::string& tenant : o.tenants) {
    WEIR_ASSIGN(access::NewKey k, access::make_key(tenant, o.argon2));
    k.entry.rights = rights;
    keys.push_back(std::move(k));
  }
  return keys;
}

// The file with its new entries: `keys:` has to be its last section, so that lines can follow.
Result<std::string> extended(std::string text, const std::string& name,
                             const std::vector<access::NewKey>& keys) {
  access::KeysFile before;
  if (text.empty()) {
    text = "tenants:\nkeys:\n";
  } else {
    WEIR_ASSIGN(before, access::parse_keys_text(text, name));
  }
  if (!text.ends_with('\n')) text += '\n';
  for (const access::NewKey& k : keys) {
    const std::string entry = fmt::format("  {}: {{}}\n", k.entry.tenant);
    const bool known = std::any_of(before.tenants.begin(), before.tenants.end(),
                                   [&](const auto& t) { return t.name == k.entry.tenant; });
    if (const size_t at = text.find("tenants:\n"); !known && at != std::string::npos)
      text.insert(at + std::string_view("tenants:\n").size(), entry);
    if (!known) before.tenants.emplace_back().name = k.entry.tenant;
    text += access::render_entry(k.entry);
  }
  const auto after = access::parse_keys_text(text, name);
  if (!after.ok() || after->keys.size() != before.keys.size() + keys.size()) {
    return make_error(
        ErrorCode::kCorrupt,
        "{} is not laid out so that entries can be added at its end (keys: as a block "
        "list, last in the file): add what weir keys new prints without --file",
        name);
  }
  return text;
}

// A mistyped name makes a tenant of its own, whom nothing limits.
void tell_new_tenants(const Options& o, const access::KeysFile& before) {
  std::vector<std::string> names;
  for (const access::TenantSpec& t : before.tenants) names.push_back(t.name);
  if (names.empty()) return;
  for (const std::string& tenant : std::set<std::string>(o.tenants.begin(), o.tenants.end())) {
    if (std::find(names.begin(), names.end(), tenant) != names.end()) continue;
    fmt::print(stderr,
               "weir: note: {} is a new tenant of {}, without limits; the nearest of those that "
               "were there is {}\n",
               tenant, o.file, config::nearest(tenant, names));
  }
}

Status write_file(const Options& o, const std::vector<access::NewKey>& keys) {
  std::string text;
  auto old = os::read_file(o.file, kMaxFileBytes);
  const bool exists = old.ok();
  if (!exists && old.error().code != ErrorCode::kNotFound) return old.error();
  if (exists) text = std::move(*old);
  access::KeysFile before;
  if (!text.empty()) {
    WEIR_ASSIGN(before, access::parse_keys_text(text, o.file));
  }
  WEIR_ASSIGN(text, extended(std::move(text), o.file, keys));
  const mode_t mask = ::umask(077);  // a new file is its owner's alone
  Status written = os::write_file_atomic(o.file, text);
  ::umask(mask);
  if (written.ok()) tell_new_tenants(o, before);
  return written;
}

void print_json(const std::vector<access::NewKey>& keys) {
  text::Json list = text::Json::array();
  for (const access::NewKey& k : keys) {
    text::Json j = text::Json::object();
    j.set("tenant", k.entry.tenant);
    j.set("id", k.entry.id);
    j.set("key", k.key);
    j.set("entry", access::render_entry(k.entry));
    list.push_back(std::move(j));
  }
  text::Json root = text::Json::object();
  root.set("keys", std::move(list));
  fmt::print("{}\n", root.dump());
}

Result<int> new_keys(const Options& o) {
  WEIR_ASSIGN(const std::vector<access::NewKey> keys, make_keys(o));
  std::string text;
  WEIR_ASSIGN(text, extended("", "keys.yaml", keys));
  if (!o.file.empty()) WEIR_TRY(write_file(o, keys));
  if (o.json) {
    print_json(keys);
    return kExitOk;
  }
  // The keys themselves go elsewhere than the entries, so that `> keys.yaml` does not store them.
  if (o.file.empty()) fmt::print("{}", text);
  for (const access::NewKey& k : keys)
    fmt::print(stderr, "key of {}, shown only now: {}\n", k.entry.tenant, k.key);
  return kExitOk;
}

Result<int> check(const Options& o) {
  WEIR_ASSIGN(const access::KeysFile file, access::read_keys(o.file));
  const std::string weak = access::weak_permissions(o.file);
  if (!weak.empty()) fmt::print(stderr, "weir: {}: {}; chmod 600\n", o.file, weak);
  fmt::print("{}: ok, {} tenants, {} keys\n", o.file, file.tenants.size(), file.keys.size());
  return kExitOk;
}

}  // namespace

void add_keys(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(root, "keys", "Keys of tenants for weir serve --keys-file",
                            "  weir keys new --tenant acme --file keys.yaml\n"
                            "  weir keys check keys.yaml\n");
  c->require_subcommand(1);
  CLI::App* n = add_command(*c, "new", "A new key, shown once; only its hash is kept",
                            "  weir keys new --tenant acme > keys.yaml\n"
                            "  weir keys new --tenant acme --file keys.yaml\n"
                            "  weir keys new --tenant ops --right admin --right metrics --json\n");
  n->add_option("--tenant", o->tenants, "whose key; several times for several keys")
      ->allow_extra_args(false)
      ->required();
  n->add_option("--right", o->rights, "inference, admin or metrics; may be given several times")
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"inference", "admin", "metrics"}))
      ->capture_default_str();
  n->add_option("--file", o->file, "keys file to add the entry to; made if it is not there");
  n->add_flag("--argon2", o->argon2, "keep it as argon2id instead of SHA-256");
  n->add_flag("--json", o->json, "one JSON document");
  n->callback([o, &selected] { selected.action = [o] { return new_keys(*o); }; });
  CLI::App* k =
      add_command(*c, "check", "Whether a keys file is right", "  weir keys check keys.yaml\n");
  k->add_option("FILE", o->file, "the keys file")->required();
  k->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
}

}  // namespace weir::cli
