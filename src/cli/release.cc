// weir promote, rollback and log: releases, and who changed what is in effect.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/ops_commands.h"
#include "cli/release_session.h"
#include "cli/subject.h"
#include "ops/release/details_text.h"
#include "ops/release/history.h"
#include "ops/review/promote.h"
#include "ops/sources/days.h"
#include "os/file.h"
#include "plot/text.h"
#include "text/json.h"
#include "text/utf8.h"

namespace weir::cli {
namespace {

struct Options : ReleaseOptions {
  std::string from, to, name, env;
  bool rehearse = false;
  bool skip_model = false;
  bool json = false;
};

Result<int> keygen(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  const std::string path = o.key.empty() ? default_release_key() : o.key;
  const std::string public_path = ops::public_key_path(project);
  WEIR_ASSIGN(const std::optional<ops::PublicKey> there, project_key(project));
  std::error_code error;
  const bool made = !std::filesystem::exists(path, error);
  if (made && there) {
    return make_error(
        ErrorCode::kUsage,
        "{} is there and {} is not: get the private key that belongs to it, or remove "
        "it and lose the signatures of all releases",
        public_path, path);
  }
  if (made) {
    const auto parent = std::filesystem::path(path).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    WEIR_TRY(ops::SigningKey::make().write_new(path));
  }
  WEIR_ASSIGN(const ops::SigningKey key, ops::SigningKey::read(path));
  if (there && there->hex() != key.public_key().hex())
    return make_error(ErrorCode::kUsage, "{} does not belong to {}", path, public_path);
  if (!there) WEIR_TRY(os::write_file_atomic(public_path, key.public_key().file_text()));
  fmt::print("{} (private{}; keep it off the machines that serve)\n{} (public {}…)\n", path,
             made ? ", new" : "", public_path, key.public_key().hex().substr(0, 12));
  return kExitOk;
}

// The refusal is written down as well.
Result<int> refuse(ReleaseSession& s, const Options& o, const ops::ReleaseDraft& draft) {
  text::Json against = text::Json::array();
  for (const std::string& what : draft.against) against.push_back(what);
  text::Json j = text::Json::object();
  j.set("promoted", false);
  j.set("from", o.from);
  j.set("to", o.to);
  j.set("against", std::move(against));
  ops::AuditRow row;
  row.unix_s = s.actor.unix_s;
  row.who = s.actor.who;
  row.action = ops::kActRefused;
  row.env = o.to;
  row.details = j.dump();
  WEIR_TRY(s.log.append(std::move(row), s.key));
  if (o.json) {
    fmt::print("{}\n", j.dump());
  } else {
    fmt::print("not promoted from {} to {}; in the way:\n", o.from, o.to);
    for (const std::string& what : draft.against) fmt::print("  {}\n", plot::printable(what));
  }
  return kExitNo;
}

Result<int> promote(const Options& o) {
  WEIR_TRY(check_environment("--from", o.from));
  WEIR_TRY(check_environment("--to", o.to));
  if (ops::next_environment(o.from) != o.to)
    return make_error(ErrorCode::kUsage, "releases go from dev to stage and from stage to prod");
  if (o.name.size() > 256 || !text::is_valid_utf8(o.name))
    return make_error(ErrorCode::kUsage, "--release must be UTF-8 of at most 256 bytes");
  WEIR_ASSIGN(ReleaseSession s, begin_release(o));
  const ops::PublicKey pub = s.key.public_key();
  const ops::Checklist& checklist = ops::built_in_checklist();
  WEIR_ASSIGN(const ops::ReviewInput input,
              ops::read_review_input(s.project, o.from, &pub, s.actor.unix_s, true, checklist));
  WEIR_ASSIGN(const ops::WaiverFile waivers, ops::read_waivers(s.project, checklist));
  const ops::Review review = ops::review(checklist, input, waivers.waivers);
  WEIR_ASSIGN(ops::ReleaseDraft draft,
              ops::draft_release(s.project, checklist, input, review, waivers, o.to));
  if (!draft.against.empty()) return refuse(s, o, draft);
  draft.manifest.name = o.name;
  WEIR_ASSIGN(const std::string id,
              ops::promote(s.project, s.log, s.key, s.actor, std::move(draft)));
  WEIR_ASSIGN(const ops::Manifest manifest, ops::open_bundle(s.project.releases(), id, pub));
  if (o.json) {
    text::Json j = text::Json::object();
    j.set("promoted", true);
    j.set("release", id);
    j.set("env", o.to);
    j.set("previous", manifest.previous);
    j.set("files", static_cast<int64_t>(manifest.files.size()));
    fmt::print("{}\n", j.dump());
  } else {
    fmt::print("release {}: {} files, model {}; in effect in {}\n{}/{}/config\n", ops::short_id(id),
               manifest.files.size(), manifest.model.name, o.to, s.project.releases(), id);
  }
  return kExitOk;
}

Result<int> rollback(const Options& o) {
  WEIR_TRY(check_environment("--env", o.env));
  WEIR_ASSIGN(ReleaseSession s, begin_release(o));
  ops::RollbackOptions options{o.env, "", !o.skip_model};
  if (!o.to.empty()) {
    WEIR_ASSIGN(options.to, ops::find_bundle(s.project.releases(), o.to));
  }
  double seconds = 0;
  auto done = o.rehearse
                  ? ops::rehearse_rollback(s.project, s.log, s.key, s.actor, options, seconds)
                  : ops::roll_back(s.project, s.log, s.key, s.actor, options);
  if (!done.ok()) return done.error();
  if (o.json) {
    text::Json j = text::Json::object();
    j.set("rehearsal", o.rehearse);
    j.set("env", o.env);
    j.set("from", done->from);
    j.set("release", done->to);
    j.set("files_checked", static_cast<int64_t>(done->files));
    j.set("model_checked", done->model_checked);
    j.set("first", done->first);
    fmt::print("{}\n", j.dump());
    return kExitOk;
  }
  const std::string what =
      done->first
          ? fmt::format("{}: first release: nothing to go back to; {} restored itself", o.env,
                        ops::short_id(done->to))
          : fmt::format("{} from {} {} {}", o.env, ops::short_id(done->from),
                        o.rehearse ? "could go back to" : "back to", ops::short_id(done->to));
  fmt::print("{}: signature and {} files hold{}{}\n", what, done->files,
             done->model_checked ? ", the model's hash too" : "; the model was not checked",
             o.rehearse ? fmt::format("; rehearsed in {:.2f} s", seconds) : "; in effect now");
  return kExitOk;
}

Result<int> log_show(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::AuditLog log, ops::AuditLog::open(ops::audit_path(project), false));
  WEIR_ASSIGN(const std::vector<ops::AuditRow> rows, log.rows());
  for (const ops::AuditRow& r : rows) {
    if (!o.env.empty() && r.env != o.env) continue;
    if (!o.json) {
      fmt::print("{:>4}  {}  {:<18}  {:<5}  {:<12}  {}  {}\n", r.seq, ops::time_of(r.unix_s),
                 plot::printable(r.action), plot::printable(r.env),
                 plot::printable(ops::short_id(r.release)), plot::printable(r.who),
                 plot::printable(ops::details_text(r.details)));
      continue;
    }
    text::Json j = text::Json::object();
    j.set("seq", r.seq);
    j.set("time", ops::time_of(r.unix_s));
    j.set("who", r.who);
    j.set("action", r.action);
    j.set("env", r.env);
    j.set("release", r.release);
    j.set("details", r.details);
    j.set("hash", r.hash);
    fmt::print("{}\n", j.dump());
  }
  return kExitOk;
}

Result<int> log_verify(const Options& o) {
  WEIR_ASSIGN(const ops::Project project, ops::Project::open(o.folder));
  WEIR_ASSIGN(const ops::PublicKey key,
              ops::PublicKey::read(o.key.empty() ? ops::public_key_path(project) : o.key));
  const ops::LogState state = ops::read_log_state(project, key);
  std::vector<std::string> problems = state.problems;
  for (std::string& p : ops::problems_in_effect(project, state, key))
    problems.push_back(std::move(p));
  if (o.json) {
    text::Json list = text::Json::array();
    for (const std::string& p : problems) list.push_back(p);
    text::Json j = text::Json::object();
    j.set("ok", problems.empty());
    j.set("rows", static_cast<int64_t>(state.rows.size()));
    j.set("problems", std::move(list));
    fmt::print("{}\n", j.dump());
  } else {
    for (const std::string& p : problems) fmt::print("{}\n", plot::printable(p));
    fmt::print("{} rows, {} environments: {}\n", state.rows.size(), state.pointers.size(),
               problems.empty() ? "all signed, in order, none missing"
                                : fmt::format("{} problems", problems.size()));
  }
  return problems.empty() ? kExitOk : kExitNo;
}

void add_common(CLI::App* c, Options& o) {
  c->add_option("--project", o.folder, "the project's folder (weir init)")->capture_default_str();
  c->add_flag("--json", o.json, "one JSON document");
}

}  // namespace

void add_promote(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: the parser's callbacks and the actions outlive
                                         // this call
  CLI::App* c = add_command(
      root, "promote", "Make a reviewed candidate a signed release and put it into effect",
      "  weir promote keygen --project serving            once: a key, and release.pub in the "
      "project\n"
      "  weir promote --project serving --from stage --to prod --release 2026-12-01\n"
      "Refused (exit 1) while an item of weir review fails. What is in effect is "
      "releases/ID/config; envs/ENV/release.json names it.\n");
  c->require_subcommand(0, 1);
  add_common(c, *o);
  add_key_option(c, *o);
  add_who_option(c, *o);
  c->add_option("--from", o->from, "whose candidate: dev or stage");
  c->add_option("--to", o->to, "stage or prod");
  c->add_option("--release", o->name, "a name for it, for people");
  c->callback([o, &selected] {
    if (!selected.action) selected.action = [o] { return promote(*o); };
  });
  CLI::App* k = add_command(*c, "keygen", "Make the key that signs releases, mode 0600",
                            "  weir promote keygen --project serving\n");
  add_common(k, *o);
  add_key_option(k, *o);
  k->callback([o, &selected] { selected.action = [o] { return keygen(*o); }; });
}

void add_rollback(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: as above
  CLI::App* c = add_command(root, "rollback", "Restore the last good release, and prove it",
                            "  weir rollback --project serving --env prod\n"
                            "  weir rollback --project serving --env prod --to 4f1d20\n"
                            "  weir rollback --project serving --env stage --rehearse    into a "
                            "scratch folder; logged\n");
  add_common(c, *o);
  add_key_option(c, *o);
  add_who_option(c, *o);
  c->add_option("--env", o->env, "stage or prod")->required();
  c->add_option("--to", o->to, "a release by its first digits (default: the last good one)");
  c->add_flag("--rehearse", o->rehearse, "a drill: changes nothing that is in effect");
  c->add_flag("--skip-model", o->skip_model, "do not hash the model's file");
  c->callback([o, &selected] { selected.action = [o] { return rollback(*o); }; });
}

void add_log(CLI::App& root, Selected& selected) {
  auto o = std::make_shared<Options>();  // shared: as above
  CLI::App* c = add_command(root, "log", "The audit log of releases: who changed what, and when",
                            "  weir log show --project serving --env prod\n"
                            "  weir log verify --project serving      exit 1 naming the row\n");
  c->require_subcommand(1);
  CLI::App* show = add_command(*c, "show", "Its rows; --json: a line each", "  weir log show\n");
  add_common(show, *o);
  show->add_option("--env", o->env, "only of this environment");
  show->callback([o, &selected] { selected.action = [o] { return log_show(*o); }; });
  CLI::App* verify = add_command(
      *c, "verify", "Whether a row was changed, removed, moved, added or cut off: exit 1 naming it",
      "  weir log verify --project serving\n"
      "  weir log verify --public-key /safe/release.pub\n");
  add_common(verify, *o);
  verify->add_option("--public-key", o->key,
                     "a copy kept elsewhere (default: PROJECT/release.pub)");
  verify->callback([o, &selected] { selected.action = [o] { return log_verify(*o); }; });
}

}  // namespace weir::cli
