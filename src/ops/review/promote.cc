#include "ops/review/promote.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ops/release/pointer.h"
#include "ops/review/candidate.h"
#include "ops/review/served_model.h"
#include "text/json.h"

namespace weir::ops {
namespace {

// Of files alone, so that they can be asked of the target's own as well.
constexpr const char* kFileChecks[] = {"limits",    "retries", "caches",
                                       "telemetry", "alerts",  "security"};

std::string on_one_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; ++at)
    text.replace(at, 1, "; ");
  return text.empty() ? "no engine" : text;
}

// What stands against the target's own files.
void check_own(const Project& project, const Checklist& checklist, const ReviewInput& input,
               const std::vector<Waiver>& waivers, const std::string& to, EnvConfig own,
               ReleaseDraft& draft) {
  if (own.numerics() != draft.manifest.numerics) {
    draft.against.push_back(
        fmt::format("envs/{}: starts other engines, versions or types than what was reviewed: {} "
                    "in place of {}",
                    to, on_one_line(own.numerics()), on_one_line(draft.manifest.numerics)));
    return;
  }
  if (const std::string other = other_model(own, draft.manifest.model, project.folder());
      !other.empty())
    draft.against.push_back(fmt::format("envs/{}: {}", to, other));
  ReviewInput target = input;
  target.env = to;
  target.candidate.config = std::move(own);
  Checklist files = checklist;
  std::erase_if(files.items, [](const ChecklistItem& item) {
    return std::find(std::begin(kFileChecks), std::end(kFileChecks), item.id) ==
           std::end(kFileChecks);
  });
  for (const ReviewedItem& i : review(files, target, waivers).items) {
    if (i.verdict == ReviewVerdict::kFail)
      draft.against.push_back(fmt::format("{} of envs/{}: {}", i.item->id, to, i.found));
  }
}

}  // namespace

Result<ReleaseDraft> draft_release(const Project& project, const Checklist& checklist,
                                   const ReviewInput& input, const Review& reviewed,
                                   const WaiverFile& waivers, const std::string& to) {
  ReleaseDraft out;
  const Candidate& candidate = input.candidate;
  for (const ReviewedItem& i : reviewed.items) {
    if (i.verdict == ReviewVerdict::kFail)
      out.against.push_back(fmt::format("{}: {}", i.item->id, i.found));
  }
  out.manifest.from = input.env;
  out.manifest.to = to;
  out.manifest.config_sha256 = candidate.config_sha256;
  out.manifest.numerics = candidate.config.numerics();
  out.manifest.model = candidate.model;
  WEIR_ASSIGN(const std::vector<EnvFile> own, read_env_files(project.environment(to)));
  if (!own.empty())
    check_own(project, checklist, input, waivers.waivers, to, read_env_config(own), out);
  for (const EnvFile& f : own.empty() ? candidate.files : own)
    out.files.push_back({"config/" + f.path, f.text});
  if (!own.empty()) {
    for (const EnvFile& f : candidate.files) out.files.push_back({"reviewed/" + f.path, f.text});
  }
  std::set<std::string> proofs;
  for (const ReviewedItem& i : reviewed.items) proofs.insert(i.files.begin(), i.files.end());
  for (const Evidence& e : input.evidence) {
    if (proofs.count(e.file) != 0) out.files.push_back({"evidence/" + e.file, e.text});
  }
  out.files.push_back({"intake.yaml", input.intake_text});
  if (!waivers.text.empty()) out.files.push_back({"waivers.yaml", waivers.text});
  out.files.push_back({"review.json", review_json(reviewed).dump() + "\n"});
  return out;
}

Result<std::string> promote(const Project& project, AuditLog& log, const SigningKey& key,
                            const Actor& actor, ReleaseDraft draft, const SwitchHook& hook) {
  const std::string env = draft.manifest.to;
  WEIR_ASSIGN(const std::optional<Pointer> before,
              read_pointer(project.environment(env), env, key.public_key()));
  draft.manifest.created_unix_s = actor.unix_s;
  draft.manifest.who = actor.who;
  draft.manifest.previous = before ? before->release : "";
  text::Json details = text::Json::object();
  details.set("from", draft.manifest.from);
  details.set("name", draft.manifest.name);
  details.set("previous", draft.manifest.previous);
  WEIR_ASSIGN(const std::string id, write_bundle(project.releases(), std::move(draft.manifest),
                                                 std::move(draft.files), key));
  WEIR_TRY(switch_release(project, log, key, actor, kActPromote, env, id, details.dump(), hook));
  return id;
}

}  // namespace weir::ops
