// What a gateway reads before it opens, beside its own file: keys, certificates, authorities. For a
// start, a reload, and weir gateway --check, so that what is good for one is good for the others.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "access/keys_file.h"
#include "base/result.h"
#include "gateway/config.h"
#include "http/tls.h"

namespace weir::gateway {

// Without keys_file: none. reachable: the address that it listens on, for the rule that who can be
// reached from other machines asks for keys. Errors: those of access::read_keys; kUsage for a file
// that others can read, and for an open door.
Result<access::KeysFile> read_gateway_keys(const GatewayConfig& config,
                                           const std::string& reachable);

// What the listener shows. Null: it speaks HTTP. Errors: those of TlsContext::load, by the keys of
// the file.
Result<std::shared_ptr<http::TlsContext>> load_listener_tls(const GatewayConfig& config);

// Files that are not in the folder of gateway.yaml, where they are looked for, but in the one where
// the program was started: "ledger.file: …". Whoever wrote them so meant the latter.
std::vector<std::string> misplaced_files(const GatewayConfig& config);

// Reads all of it. Errors: those of the start. Otherwise warnings, "quotas: …": tenants and keys
// that the file speaks of and keys_file does not have, settings that do nothing, misplaced_files.
Result<std::vector<std::string>> check_opening(const GatewayConfig& config);

}  // namespace weir::gateway
