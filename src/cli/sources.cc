// weir sources: the claims ledger, what of it is due, whether its pages answer, and briefs.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/ops_commands.h"
#include "config/key.h"
#include "ops/project/folder_lock.h"
#include "ops/sources/ages.h"
#include "ops/sources/citations.h"
#include "ops/sources/days.h"
#include "ops/sources/ledger_check.h"
#include "ops/sources/ledger_text.h"
#include "ops/sources/online.h"
#include "os/file.h"
#include "plot/text.h"
#include "text/json.h"

namespace weir::cli {
namespace {

using text::Json;

constexpr uint64_t kMaxLedgerBytes = 4 << 20;

struct Options {
  std::string folder = ".";
  std::string file;   // of add and verify, instead of the project's
  std::string today;  // a day; empty: now
  bool json = false;
  std::string kind, topic, claim;  // list
  size_t limit = 0;                // of list; 0: all
  std::vector<std::string> pages;  // check
  bool online = false, orphans = false;
  std::vector<std::string> ids;  // list, check --online, verify
  std::string ca;
  int timeout_ms = 10'000;
  ops::Source source;               // add
  std::vector<std::string> claims;  // "id=text"
  std::string from;
  std::string read, note;  // verify
};

std::string project_ledger(const Options& o) { return o.folder + "/sources.json"; }

Result<int> day_of(const Options& o) {
  if (o.today.empty()) return ops::today(SystemClock());
  if (const auto day = ops::day_number(o.today)) return *day;
  return make_error(ErrorCode::kUsage, "--on {}: write a day as YYYY-MM-DD", o.today);
}

bool holds(const std::string& text, const std::string& wanted) {
  const auto same = [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  };
  return std::search(text.begin(), text.end(), wanted.begin(), wanted.end(), same) != text.end();
}

// Error kUsage for a topic that no source has, with those that there are.
Status check_topic(const ops::Sources& all, const std::string& topic) {
  std::set<std::string> topics;
  for (const ops::Source& s : all.all) topics.insert(s.topics.begin(), s.topics.end());
  if (topics.contains(topic)) return {};
  const std::vector<std::string> names(topics.begin(), topics.end());
  return make_error(ErrorCode::kUsage,
                    "--topic {}: no source has it; the nearest is {}; there are {}", topic,
                    config::nearest(topic, names), fmt::join(names, ", "));
}

// The sources that the filters leave; an id that is not there is an error.
Result<std::vector<const ops::Source*>> chosen(const ops::Sources& all, const Options& o) {
  for (const std::string& id : o.ids) {
    if (all.find(id) != nullptr) continue;
    std::vector<std::string> known;
    known.reserve(all.all.size());
    for (const ops::Source& s : all.all) known.push_back(s.id);
    return make_error(ErrorCode::kNotFound, "there is no source {}; the nearest is {}", id,
                      config::nearest(id, known));
  }
  if (!o.topic.empty()) WEIR_TRY(check_topic(all, o.topic));
  std::vector<const ops::Source*> out;
  for (const ops::Source& s : all.all) {
    if (!o.ids.empty() && std::find(o.ids.begin(), o.ids.end(), s.id) == o.ids.end()) continue;
    if (!o.kind.empty() && s.kind != o.kind) continue;
    if (!o.topic.empty() && std::find(s.topics.begin(), s.topics.end(), o.topic) == s.topics.end())
      continue;
    const auto says = [&](const ops::SourceClaim& c) {
      return holds(c.text, o.claim) || holds(c.value, o.claim) || holds(c.workload, o.claim);
    };
    if (!o.claim.empty() && !std::any_of(s.claims.begin(), s.claims.end(), says)) continue;
    out.push_back(&s);
  }
  return out;
}

Result<int> list(const Options& o) {
  WEIR_ASSIGN(const auto all, ops::sources_with_project(project_ledger(o)));
  WEIR_ASSIGN(const int today, day_of(o));
  WEIR_ASSIGN(auto found, chosen(all, o));
  const size_t matching = found.size();
  if (o.limit > 0 && matching > o.limit) {
    found.resize(o.limit);
    fmt::print(stderr, "weir: the first {} of {} sources; --limit 0 lists all\n", o.limit,
               matching);
  }
  if (o.json) {
    std::string out = "[\n";
    for (const ops::Source* s : found) out += (out.size() > 2 ? ",\n" : "") + ops::source_text(*s);
    fmt::print("{}\n]\n", out);
    return kExitOk;
  }
  for (const ops::Source* s : found) {
    fmt::print("{}\n  {} ({}, {}{}{})\n  {}\n  read {}, {} ago{}; review by {}\n", s->id,
               plot::printable(s->title), plot::printable(s->publisher), s->kind,
               s->published.empty() ? "" : ", ", s->published, plot::printable(s->url), s->accessed,
               ops::days(today - ops::day_number(s->accessed).value_or(today)),
               s->verified ? "" : ", unverified", s->review_by);
    for (const ops::SourceClaim& c : s->claims) {
      fmt::print("  - {}: {}{}{}{}\n", c.id, plot::printable(c.text), c.value.empty() ? "" : ": ",
                 plot::printable(c.value), c.read ? "" : " [not read again]");
    }
    if (!s->note.empty()) fmt::print("  note: {}\n", plot::printable(s->note));
  }
  fmt::print("{} of {} sources\n", found.size(), all.all.size());
  return kExitOk;
}

// Exit 1 where a page is gone, moved or broken, 4 where none could be reached.
Result<int> check_online(const ops::Sources& all, const Options& o) {
  WEIR_ASSIGN(const auto found, chosen(all, o));
  WEIR_ASSIGN(http::HttpsTrust trust, http::HttpsTrust::load(o.ca));
  const ops::OnlineOptions options{std::move(trust), std::chrono::milliseconds(o.timeout_ms)};
  const auto answers = ops::check_online(found, options);
  size_t unreachable = 0, wrong = 0;
  Json rows = Json::array();
  for (size_t i = 0; i < found.size(); ++i) {
    const ops::OnlineAnswer& a = answers[i];
    const bool unknown = a.state == ops::OnlineState::kUnreachable;
    unreachable += unknown ? 1 : 0;
    wrong += a.state != ops::OnlineState::kFine && !unknown ? 1 : 0;
    Json j = Json::object();
    j.set("id", found[i]->id);
    j.set("url", found[i]->url);
    j.set("state", ops::online_state_name(a.state));
    if (a.status != 0) j.set("status", a.status);
    if (a.address != found[i]->url) j.set("address", a.address);
    if (!a.last_modified.empty()) j.set("last_modified", a.last_modified);
    if (!a.what.empty()) j.set("what", a.what);
    j.set("verified", !unknown);
    rows.push_back(std::move(j));
    if (!o.json && a.state != ops::OnlineState::kFine) {
      fmt::print("{:<11} {}: {}{}\n", ops::online_state_name(a.state), found[i]->id,
                 plot::printable(a.what), unknown ? " (unverified)" : "");
    }
  }
  if (o.json) fmt::print("{}\n", rows.dump());
  if (!o.json)
    fmt::print("{} addresses: {} fine, {} not, {} unverified\n", found.size(),
               found.size() - wrong - unreachable, wrong, unreachable);
  if (unreachable == found.size() && !found.empty()) {
    fmt::print(stderr,
               "weir: no address could be reached: is there a network? All stay unverified\n");
    return kExitUnavailable;
  }
  return wrong > 0 ? kExitNo : kExitOk;
}

Result<int> check(const Options& o) {
  WEIR_ASSIGN(const auto all, ops::sources_with_project(project_ledger(o)));
  if (o.online) return check_online(all, o);
  WEIR_ASSIGN(const int today, day_of(o));
  WEIR_ASSIGN(auto cited, ops::built_in_citations());
  for (const std::string& folder : o.pages) {
    WEIR_ASSIGN(auto more, ops::folder_citations(folder));
    cited.insert(cited.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
  }
  const auto findings = ops::check_ledger(all, cited, today);
  size_t counts[3] = {};
  Json rows = Json::array();
  for (const ops::LedgerFinding& f : findings) {
    ++counts[static_cast<size_t>(f.severity)];
    Json j = Json::object();
    j.set("severity", ops::ledger_severity_name(f.severity));
    j.set("where", f.where);
    j.set("what", f.what);
    rows.push_back(std::move(j));
    if (!o.json && (o.orphans || f.severity != ops::LedgerSeverity::kHint))
      fmt::print("{}: {}: {}\n", ops::ledger_severity_name(f.severity), f.where,
                 plot::printable(f.what));
  }
  if (o.json) {
    fmt::print("{}\n", rows.dump());
  } else {
    fmt::print("{} sources, {} citations: {} errors, {} warnings, {} that nothing cites{}\n",
               all.all.size(), cited.size(), counts[0], counts[1], counts[2],
               counts[2] > 0 && !o.orphans ? " (--orphans lists them)" : "");
  }
  return counts[0] + counts[1] > 0 ? kExitNo : kExitOk;
}

Result<int> due(const Options& o) {
  WEIR_ASSIGN(const auto all, ops::sources_with_project(project_ledger(o)));
  WEIR_ASSIGN(const int today, day_of(o));
  const auto found = ops::due_sources(all, today);
  Json rows = Json::array();
  for (const ops::DueSource& d : found) {
    Json j = Json::object();
    j.set("id", d.source->id);
    j.set("url", d.source->url);
    j.set("kind", d.source->kind);
    j.set("age_days", d.age_days);
    j.set("overdue_days", d.overdue_days);
    j.set("why", d.why);
    rows.push_back(std::move(j));
    if (!o.json)
      fmt::print("{:>5} days  {:<9} {}: {}\n            {}\n", d.overdue_days, d.source->kind,
                 d.source->id, d.why, plot::printable(d.source->url));
  }
  if (o.json) {
    fmt::print("{}\n", rows.dump());
  } else {
    fmt::print("{} of {} sources are due on {}\n", found.size(), all.all.size(),
               ops::day_text(today));
  }
  return found.empty() ? kExitOk : kExitNo;
}

// Held from reading the ledger until it is written.
Result<ops::FolderLock> lock_ledger(const Options& o) {
  const std::string path = o.file.empty() ? project_ledger(o) : o.file;
  return ops::FolderLock::take(std::filesystem::path(path).parent_path().string());
}

// The ledger file that add and verify write, and what it holds ("" where it is absent).
Result<std::pair<std::string, std::string>> open_ledger(const Options& o) {
  const std::string path = o.file.empty() ? project_ledger(o) : o.file;
  auto text = os::read_file(path, kMaxLedgerBytes);
  if (text.ok()) return std::pair(path, std::move(*text));
  if (text.error().code != ErrorCode::kNotFound) return text.error();
  return std::pair(path, std::string());
}

// A project's file must not shadow the program's ledger; of another file the text alone counts.
Status save_ledger(const Options& o, const std::string& path, const std::string& before,
                   const std::string& after) {
  WEIR_TRY(os::write_file_atomic(path, after));
  if (!o.file.empty()) return {};
  const auto merged = ops::sources_with_project(path);
  if (merged.ok()) return {};
  std::error_code error;
  if (before.empty()) {
    std::filesystem::remove(path, error);
  } else {
    WEIR_TRY(os::write_file_atomic(path, before));
  }
  return merged.error();
}

Result<int> add(const Options& o) {
  WEIR_ASSIGN(const int today, day_of(o));
  ops::Source s = o.source;
  if (!o.from.empty()) {
    WEIR_ASSIGN(const std::string entry, read_input(o.from, kMaxLedgerBytes));
    WEIR_ASSIGN(auto read, ops::parse_sources("[" + entry + "]", o.from));
    if (read.all.size() != 1)
      return make_error(ErrorCode::kCorrupt, "{}: must hold one entry, not {}", o.from,
                        read.all.size());
    s = std::move(read.all[0]);
  }
  for (const std::string& claim : o.claims) {
    const size_t equals = claim.find('=');
    if (equals == std::string::npos || equals == 0)
      return make_error(ErrorCode::kUsage, "--claim {}: write ID=TEXT", claim);
    s.claims.push_back({claim.substr(0, equals), claim.substr(equals + 1), "", "", false});
  }
  const auto kinds = ops::source_kinds();
  if (std::find(kinds.begin(), kinds.end(), s.kind) == kinds.end()) {
    return make_error(ErrorCode::kUsage, "--kind \"{}\": must be one of {}", s.kind,
                      fmt::join(kinds, ", "));
  }
  if (s.accessed.empty()) s.accessed = ops::day_text(today);
  const auto accessed = ops::day_number(s.accessed);
  if (!accessed || *accessed > today)
    return make_error(ErrorCode::kUsage, "--accessed {}: must be a day, not ahead", s.accessed);
  if (s.review_by.empty()) s.review_by = ops::day_text(*accessed + ops::stale_days(s.kind));
  WEIR_ASSIGN(const auto lock, lock_ledger(o));
  WEIR_ASSIGN(const auto ledger, open_ledger(o));
  WEIR_ASSIGN(const std::string after, ops::append_source(ledger.second, ledger.first, s));
  WEIR_TRY(save_ledger(o, ledger.first, ledger.second, after));
  fmt::print("{}: {} added; review by {}\n", ledger.first, s.id, s.review_by);
  return kExitOk;
}

Result<int> verify(const Options& o) {
  WEIR_ASSIGN(const int today, day_of(o));
  const auto day = ops::day_number(o.read);
  if (!day || *day > today)
    return make_error(ErrorCode::kUsage, "--read {}: must be a day (YYYY-MM-DD), not ahead",
                      o.read);
  WEIR_ASSIGN(const auto lock, lock_ledger(o));
  WEIR_ASSIGN(const auto ledger, open_ledger(o));
  WEIR_ASSIGN(const auto sources,
              ops::parse_sources(ledger.second.empty() ? "[]" : ledger.second, ledger.first));
  const std::string& id = o.ids.front();
  const ops::Source* found = sources.find(id);
  if (found == nullptr) {
    WEIR_ASSIGN(const auto known, ops::built_in_sources());
    if (known.find(id) != nullptr) {
      return make_error(ErrorCode::kUsage,
                        "{} is in the program's ledger, which is read-only; in a checkout of weir: "
                        "--file skill/data/sources.json",
                        id);
    }
    return make_error(ErrorCode::kNotFound, "{} has no source {}", ledger.first, id);
  }
  ops::Source s = *found;
  s.verified = true;
  s.accessed = o.read;
  s.review_by = ops::day_text(*day + ops::stale_days(s.kind));
  if (!o.note.empty()) s.note = o.note;
  WEIR_ASSIGN(const std::string after, ops::replace_source(ledger.second, ledger.first, s));
  WEIR_TRY(os::write_file_atomic(ledger.first, after));
  fmt::print("{}: {} read on {}; review by {}\n", ledger.first, id, s.accessed, s.review_by);
  return kExitOk;
}

using Given = std::shared_ptr<Options>;  // shared: the parser's callback and the action outlive
                                         // the call that made them

CLI::App* add_verb(CLI::App& group, const char* name, const char* summary, const char* examples,
                   const Given& o) {
  CLI::App* c = add_command(group, name, summary, examples);
  c->add_option("--project", o->folder,
                "the folder whose sources.json is added to the program's ledger")
      ->capture_default_str();
  c->add_option("--on", o->today, "as on this day (default: today)");
  c->add_flag("--json", o->json, "one JSON document");
  return c;
}

void add_list(CLI::App& group, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* c = add_verb(group, "list", "Sources with their claims",
                         "  weir sources list --topic quantization --kind paper\n"
                         "  weir sources list --claim 'prefix cach' --json\n",
                         o);
  c->add_option("ID", o->ids, "only these");
  c->add_option("--kind", o->kind, "only of this kind")
      ->check(CLI::IsMember(
          std::vector<std::string>(ops::source_kinds().begin(), ops::source_kinds().end())));
  c->add_option("--topic", o->topic, "only of this topic");
  c->add_option("--claim", o->claim, "only those whose claims hold this text");
  c->add_option("--limit", o->limit, "at most so many; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000));
  c->callback([o, &selected] { selected.action = [o] { return list(*o); }; });
}

void add_check(CLI::App& group, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* c = add_verb(group, "check", "Whether the ledger is right, and its citations resolve",
                         "  weir sources check --pages skill\n"
                         "  weir sources check --online vllm-optimization-docs\n",
                         o);
  c->add_option("ID", o->ids, "with --online: only these");
  c->add_option("--pages", o->pages,
                "a folder of Markdown whose [source-id] must resolve; repeatable");
  c->add_flag("--orphans", o->orphans, "list the sources that nothing cites");
  c->add_flag("--online", o->online, "ask each address instead: status, redirects, dates");
  c->add_option("--ca", o->ca, "with --online: trust these certificates (PEM), not the system's");
  c->add_option("--timeout-ms", o->timeout_ms, "with --online: of one request")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  c->callback([o, &selected] { selected.action = [o] { return check(*o); }; });
}

void add_due(CLI::App& group, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* c = add_verb(group, "due", "Sources that are to be read again",
                         "  weir sources due\n  weir sources due --on 2027-02-01\n", o);
  c->callback([o, &selected] { selected.action = [o] { return due(*o); }; });
}

void add_add(CLI::App& group, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* c =
      add_verb(group, "add", "Append a source to a project's ledger",
               "  weir sources add --id our-load-test --title 'Load test, May' "
               "--url https://wiki.example/lt --publisher us --kind docs --topic batching "
               "--claim 'knee=the knee is at 40 requests a second'\n"
               "  weir sources add --from entry.json --file skill/data/sources.json\n",
               o);
  c->add_option("--file", o->file, "a ledger file, instead of the project's sources.json");
  c->add_option("--from", o->from,
                "the entry as JSON (- is standard input), instead of the flags below");
  c->add_option("--id", o->source.id, "small letters, digits and hyphens");
  c->add_option("--title", o->source.title, "of the page");
  c->add_option("--url", o->source.url, "https");
  c->add_option("--publisher", o->source.publisher, "who published it");
  c->add_option("--kind", o->source.kind, "paper docs release datasheet spec code price blog book");
  c->add_flag("--primary", o->source.primary, "the publisher's own figures");
  c->add_flag("--verified", o->source.verified, "it was read");
  c->add_option("--published", o->source.published, "a year, month or day");
  c->add_option("--accessed", o->source.accessed, "the day it was looked at (default: today)");
  c->add_option("--review-by", o->source.review_by, "default: accessed and what its kind allows");
  c->add_option("--topic", o->source.topics, "repeatable");
  c->add_option("--claim", o->claims, "ID=TEXT; repeatable");
  c->callback([o, &selected] { selected.action = [o] { return add(*o); }; });
}

void add_verify(CLI::App& group, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* c = add_verb(
      group, "verify", "Mark that a person read a source",
      "  weir sources verify our-load-test --read 2026-11-30 --note 'figures as stated'\n", o);
  c->add_option("ID", o->ids, "the source")->required()->expected(1);
  c->add_option("--read", o->read, "the day, YYYY-MM-DD")->required();
  c->add_option("--note", o->note, "what was seen");
  c->add_option("--file", o->file, "a ledger file, instead of the project's sources.json");
  c->callback([o, &selected] { selected.action = [o] { return verify(*o); }; });
}

}  // namespace

void add_sources(CLI::App& root, Selected& selected) {
  CLI::App* group =
      add_command(root, "sources", "The claims ledger: what advice rests on, and how old it is",
                  "  weir sources list --topic kv-cache\n"
                  "  weir sources check\n"
                  "  weir sources due\n");
  group->require_subcommand(1);
  add_list(*group, selected);
  add_check(*group, selected);
  add_due(*group, selected);
  add_add(*group, selected);
  add_verify(*group, selected);
  add_brief(*group, selected);
}

}  // namespace weir::cli
