// A reviewed candidate made a release and put into effect in the next environment.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/release/bundle.h"
#include "ops/release/switch.h"
#include "ops/review/review.h"

namespace weir::ops {

// What the release would hold, and what stands against it.
struct ReleaseDraft {
  Manifest manifest;                 // without its files
  std::vector<BundleFile> files;     // config/…, evidence/…, review.json, intake.yaml
  std::vector<std::string> against;  // "ITEM: why"; empty: it may be promoted
};

// The configuration that comes into effect are the files of envs/TO where there are some, which
// must start the same engines in the same versions and types as those that were reviewed and pass
// the checks of files for `to`; else the reviewed ones. Evidence, intake and waivers are the bytes
// that were judged. Errors: those of reading the files of envs/TO.
Result<ReleaseDraft> draft_release(const Project& project, const Checklist& checklist,
                                   const ReviewInput& input, const Review& review,
                                   const WaiverFile& waivers, const std::string& to);

// Writes the bundle and switches to it. The caller holds the lock. Precondition: nothing stands
// against the draft. Returns the id.
Result<std::string> promote(const Project& project, AuditLog& log, const SigningKey& key,
                            const Actor& actor, ReleaseDraft draft, const SwitchHook& hook = {});

}  // namespace weir::ops
