// Reports of other commands as evidence: files of evidence/, told apart by the schema that they
// name. Each says of what model and configuration it is (its subject, which --project and --env
// write into it). Taken for hostile: only what is needed is read, within bounds. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace weir::ops {

// What a report is about.
struct Subject {
  std::string env;
  std::string model_sha256;
  std::string config_sha256;
  std::string numerics_sha256;  // of candidate.h
  int64_t replicas = 1;         // behind the address that was measured

  text::Json json() const;
};

// A run of weir bench load. NaN: not known.
struct LoadRunEvidence {
  std::string label;
  double offered_per_s = 0;  // 0: closed loop
  int64_t concurrency = 0;   // 0: open loop
  int64_t requests = 0, ok = 0, refused = 0, failed = 0;
  int64_t prompt_tokens = 0, output_tokens = 0;  // of those that ended well
  double ok_per_s = 0;
  int64_t peak_in_flight = 0;
  double ttft_p95_ms = 0, itl_p95_ms = 0, e2e_p99_ms = 0, refusal_p95_ms = 0;
};

enum class EvidenceKind : uint8_t { kLoad, kGate };

struct Evidence {
  std::string file;  // its name in evidence/
  EvidenceKind kind = EvidenceKind::kLoad;
  int64_t created_s = 0;
  Subject subject;                    // empty texts where it does not say
  std::string model;                  // kLoad: as the server called it
  std::string text;                   // the bytes that were read, which a release keeps
  std::vector<LoadRunEvidence> runs;  // kLoad
  std::string verdict;                // kGate: "pass", "fail", "inconclusive"
  std::string base;                   // kGate: the base's name
};

inline constexpr uint64_t kMaxEvidenceBytes = uint64_t{64} << 20;
inline constexpr std::string_view kGateSchema = "weir.eval.compare/1";
inline constexpr std::string_view kLoadSchema = "weir.bench.load/1";

// nullopt: of no schema that is evidence here (another file of the folder). Error kCorrupt: "FILE:
// member must be …" for one that is.
Result<std::optional<Evidence>> parse_evidence(std::string_view text, std::string_view file);

}  // namespace weir::ops
