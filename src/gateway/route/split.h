// A/B tests and canaries: which arm of an experiment a request belongs to. Sticky: the same subject
// (user, session or tenant) gets the same arm from every replica and after every restart, as a
// function of the experiment's name, the subject and the weights alone.
//
// Weighted rendezvous hashing: each arm draws -ln(u) / percent with u from the hash of subject and
// arm, and the least wins. When weights change, a subject leaves its arm only for one whose weight
// grew in relation to it: a user who is in the canary at 5 % is there at 25 % too, and of two arms
// exactly the difference moves. Arms are known by name: their order may change.
//
// Pure; any thread once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "gateway/route/fleet_view.h"

namespace weir::gateway {

enum class StickyBy { kUser, kSession, kTenant, kRequest };

std::string_view sticky_by_name(StickyBy by);  // "user"

struct SplitArm {
  std::string name;
  std::string target;
  int percent = 0;  // 0 .. 100; 0 takes nobody
};

struct SplitConfig {
  std::string experiment;  // another name deals the subjects anew
  // A request without that field is dealt by the next one of the enum that it has, at the end by
  // the draw.
  StickyBy sticky = StickyBy::kUser;
  std::vector<SplitArm> arms;
};

struct Assignment {
  size_t arm = 0;  // of the config
  StickyBy by = StickyBy::kRequest;
  uint64_t subject = 0;  // hash of tenant and what `by` names
};

// What an analysis joins with outcomes: who saw what. Holds no name of a user, only its hash.
struct Exposure {
  int64_t unix_ms = 0;
  std::string_view request_id;
  std::string_view experiment;
  std::string_view arm;
  int percent = 0;
  StickyBy by = StickyBy::kRequest;
  uint64_t subject = 0;
  std::string_view tenant;
  std::string_view model;   // the alias the client asked for
  std::string_view target;  // where the arm sends it
};

class Split {
 public:
  static constexpr size_t kMaxArms = 16;

  // Errors: kInvalidValue naming the arm: no arms or too many, names missing or twice, percents
  // outside 0 .. 100 or with another sum than 100.
  static Result<Split> make(SplitConfig config);

  Assignment assign(const RequestView& request, uint64_t draw) const;
  Exposure exposure(const Assignment& assignment, const RequestView& request,
                    std::string_view request_id) const;
  const SplitConfig& config() const { return config_; }

 private:
  explicit Split(SplitConfig config);

  SplitConfig config_;
  HashKey key_;                    // of the experiment
  std::vector<uint64_t> arm_ids_;  // hashes of the arms' names
};

// One line of JSON without its end.
std::string exposure_json(const Exposure& exposure);

}  // namespace weir::gateway
