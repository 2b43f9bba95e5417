// What a gateway reads before it opens, beside its own file: keys, certificates, authorities. For a
// start, a reload, and weir gateway --check, so that what is good for one is good for the others.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "access/keys_file.h"
#include "base/result.h"
#include "config/problems.h"
#include "gateway/config.h"
#include "http/tls.h"

namespace weir::gateway {

// Without keys_file: none. reachable: the address that it listens on, for the rule that who can be
// reached from other machines asks for keys. Errors, where they stand in the file: those of
// access::read_keys; kUsage for a file that others can read, and for an open door.
Result<access::KeysFile> read_gateway_keys(const GatewayConfig& config,
                                           const std::string& reachable);

// What the listener shows. Null: it speaks HTTP. Errors: those of TlsContext::load, by the keys of
// the file and where they stand in it.
Result<std::shared_ptr<http::TlsContext>> load_listener_tls(const GatewayConfig& config);
// An error of the same files from elsewhere, such as TlsContext::reload, with where it stands.
Error at_listener_tls(const GatewayConfig& config, const Error& error);

// What is legal and was hardly meant: a private key that everybody can read; files that are not in
// the folder of gateway.yaml, where they are looked for, but in the one where the program was
// started: "ledger.file: …". Looks at the disk; any thread.
std::vector<std::string> file_warnings(const GatewayConfig& config);

// Reads all of it. What a start would trip over is told to `problems`, whose file the configuration
// is of. Returns warnings, "quotas: …": tenants and keys that the file speaks of and keys_file does
// not have, settings that do nothing, file_warnings.
std::vector<std::string> check_opening(const GatewayConfig& config, config::Problems& problems);

}  // namespace weir::gateway
