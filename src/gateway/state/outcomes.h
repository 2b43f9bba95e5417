// Whether an answer was of use, as its user says: POST /v1/outcomes
//   {"request_id": "req-1", "accepted": true, "score": 0.8, "note": "as asked"}
// Ledger::report() joins it with the request. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::gateway {

inline constexpr size_t kMaxOutcomeBytes = 8192;  // of a body
inline constexpr size_t kMaxOutcomeNoteBytes = 2000;
inline constexpr double kMaxOutcomeScore = 1e6;

struct Outcome {
  std::string request_id;  // what x-request-id said: 1 to 256 bytes
  bool accepted = false;
  std::optional<double> score;  // of any scale, from -1e6 to 1e6
  std::string note;             // at most kMaxOutcomeNoteBytes
};

// Other members are passed over. Errors: kBodyTooLarge, kInvalidJson, and kInvalidValue with the
// member's name as param.
Result<Outcome> parse_outcome(std::string_view body);

}  // namespace weir::gateway
