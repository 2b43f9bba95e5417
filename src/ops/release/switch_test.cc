// The log, switches, kills in between, rollbacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "ops/release/bundle.h"
#include "ops/release/history.h"
#include "ops/release/sha256.h"
#include "ops/release/switch.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Switch : public ::testing::Test {
 protected:
  void SetUp() override {
    project_ = Project::init(dir_.file("p")).value();
    std::ofstream(dir_.file("p/m.gguf")) << "model";
  }

  AuditLog log() { return AuditLog::open(audit_path(*project_), true).value(); }
  std::vector<AuditRow> rows() { return log().rows().value(); }
  std::string bundle(const std::string& name) {
    Manifest m;
    m.name = name;
    m.from = "stage";
    m.to = "prod";
    m.config_sha256 = std::string(64, 'c');
    m.model = {"m.gguf", "m.gguf", sha256_hex("model"), 5};
    return write_bundle(project_->releases(), m, {{"config/a", name}}, key_).value();
  }
  Status go(const std::string& release, const SwitchHook& hook = {}) {
    AuditLog l = log();
    return switch_release(*project_, l, key_, actor_, kActPromote, "prod", release, "{}", hook);
  }
  std::string in_effect() {
    const auto p = read_pointer(project_->environment("prod"), "prod", key_.public_key());
    return p.ok() && *p ? (*p)->release : "";
  }
  std::vector<std::string> problems() {
    return read_log_state(*project_, key_.public_key()).problems;
  }
  void sql(const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(audit_path(*project_).c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << text;
    sqlite3_close(db);
  }
  // Runs `act` in a process of its own, which a hook kills after `step`.
  void killed_at(SwitchStep step, const std::function<void(const SwitchHook&)>& act) {
    const pid_t child = ::fork();
    if (child == 0) {
      act([step](SwitchStep done) {
        if (done == step) ::raise(SIGKILL);
      });
      ::_exit(3);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }

  os::TempDir dir_;
  std::optional<Project> project_;
  SigningKey key_ = SigningKey::make();
  Actor actor_{"me@here", 1'700'000'000};
};

TEST_F(Switch, ChangesPointerAndLog) {
  const std::string a = bundle("a");
  ASSERT_TRUE(go(a).ok());
  EXPECT_EQ(in_effect(), a);
  EXPECT_THAT(problems(), IsEmpty());
  const auto all = rows();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].action, kActPromote);
  EXPECT_EQ(all[1].action, kActInEffect);
  EXPECT_EQ(all[1].who, "me@here");
}

TEST_F(Switch, AKillLeavesTheOldOrTheNewAndALogThatTells) {
  const std::string a = bundle("a");
  ASSERT_TRUE(go(a).ok());
  std::string before = a;
  for (const SwitchStep step :
       {SwitchStep::kAnnounced, SwitchStep::kPointed, SwitchStep::kClosed}) {
    const std::string next = bundle("next" + std::to_string(static_cast<int>(step)));
    killed_at(step, [&](const SwitchHook& hook) { (void)go(next, hook); });
    const bool took = step != SwitchStep::kAnnounced;
    EXPECT_EQ(in_effect(), took ? next : before);
    EXPECT_THAT(problems(), IsEmpty());
    EXPECT_EQ(open_switch(rows(), "prod").has_value(), step != SwitchStep::kClosed);
    AuditLog l = log();
    const auto closed = close_interrupted(*project_, l, key_, actor_);
    ASSERT_TRUE(closed.ok());
    EXPECT_EQ(closed->size(), step == SwitchStep::kClosed ? 0u : 1u);
    EXPECT_FALSE(open_switch(rows(), "prod").has_value());
    EXPECT_EQ(release_stack(rows(), "prod").back(), in_effect());
    EXPECT_THAT(problems(), IsEmpty());
    before = in_effect();
  }
}

TEST_F(Switch, EveryKindOfTamperingNamesItsRow) {
  ASSERT_TRUE(go(bundle("a")).ok());
  ASSERT_TRUE(go(bundle("b")).ok());
  const std::string file = audit_path(*project_);
  const std::string copy = dir_.file("audit");
  std::filesystem::copy_file(file, copy);
  const auto after = [&](const std::string& change) {
    std::filesystem::copy_file(copy, file, std::filesystem::copy_options::overwrite_existing);
    sql(change);
    const auto found = problems();
    return found.empty() ? std::string() : found.front();
  };
  EXPECT_EQ(after("SELECT 1"), "");
  for (const char* column : {"unix_s", "who", "action", "env", "release", "details"}) {
    EXPECT_THAT(after(std::string("UPDATE audit SET ") + column + "='7' WHERE seq=2"),
                HasSubstr("row 2: changed"))
        << column;
  }
  EXPECT_THAT(after("UPDATE audit SET hash=replace(hash,'a','b') WHERE seq=2"), HasSubstr("row 2"));
  EXPECT_THAT(after("UPDATE audit SET signature=replace(signature,'a','b') WHERE seq=3"),
              HasSubstr("row 3: not signed"));
  EXPECT_THAT(after("DELETE FROM audit WHERE seq=1"), HasSubstr("row 1: missing"));
  EXPECT_THAT(after("DELETE FROM audit WHERE seq=2"), HasSubstr("row 2: missing"));
  EXPECT_THAT(after("DELETE FROM audit WHERE seq=4"), HasSubstr("row 4: missing: the head says"));
  EXPECT_THAT(after("DELETE FROM audit"), HasSubstr("row 4: missing: the head says"));
  EXPECT_THAT(
      after("UPDATE audit SET seq=9 WHERE seq=1; UPDATE audit SET seq=1 WHERE seq=2; UPDATE "
            "audit SET seq=2 WHERE seq=9"),
      HasSubstr("row 1"));
  EXPECT_THAT(after("INSERT INTO audit SELECT 5,unix_s,who,action,env,release,details,hash,hash,"
                    "signature FROM audit WHERE seq=4"),
              HasSubstr("row 5"));
}

TEST_F(Switch, NothingIsBuiltOnATamperedRow) {
  ASSERT_TRUE(go(bundle("a")).ok());
  sql("UPDATE audit SET who='x' WHERE seq=2");
  EXPECT_THAT(go(bundle("b")).error().message, HasSubstr("row 2 was changed"));
}

TEST_F(Switch, RowsThatAreCutOffAreNotBuiltOn) {
  ASSERT_TRUE(go(bundle("a")).ok());
  ASSERT_TRUE(go(bundle("b")).ok());
  sql("DELETE FROM audit WHERE seq=4");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("row 4: missing")));
  EXPECT_THAT(go(bundle("c")).error().message, HasSubstr("row 4: missing"));
  EXPECT_EQ(rows().size(), 3u);
  EXPECT_EQ(check_chain(*project_, key_.public_key()).error().code, ErrorCode::kCorrupt);
}

TEST_F(Switch, AHeadThatIsGoneOrAnothersAndALogThatIsGone) {
  const std::string log_file = audit_path(*project_);
  const std::string head = log_head_path(log_file);
  EXPECT_THAT(head, HasSubstr("releases/audit.head"));
  ASSERT_TRUE(go(bundle("a")).ok());
  const std::string good = os::read_file(head, 4096).value();
  for (size_t n = 0; n < good.size(); n += 7)
    EXPECT_FALSE(parse_log_head(good.substr(0, n), "h", key_.public_key()).ok());
  std::ofstream(head) << log_head_text({9, std::string(64, 'a')}, SigningKey::make());
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("the signature does not hold")));
  std::filesystem::remove(head);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("row 2: the head")));
  EXPECT_THAT(go(bundle("b")).error().message, HasSubstr("the head"));
  // Killed before the head was written: it is a row behind, which is no harm.
  std::ofstream(head) << log_head_text({1, rows()[0].hash}, key_);
  EXPECT_THAT(problems(), IsEmpty());
  std::filesystem::remove(log_file);
  EXPECT_THAT(AuditLog::open(log_file, true).error().message, HasSubstr("is gone"));
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("is gone")));
  std::filesystem::remove(head);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("row 1: missing, and so is what")))
      << "release.json";
}

TEST_F(Switch, APointerThatWasPutBackOrTakenAway) {
  const std::string a = bundle("a");
  ASSERT_TRUE(go(a).ok());
  const std::string file = project_->environment("prod") + "/" + kPointerFile;
  const std::string older = os::read_file(file, 4096).value();
  ASSERT_TRUE(go(bundle("b")).ok());
  std::ofstream(file) << older;
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("announced in row 3")));
  std::filesystem::remove(file);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("and its release.json is gone")));
  RollbackOptions options;
  options.env = "prod";
  AuditLog l = log();
  EXPECT_THAT(roll_back(*project_, l, key_, actor_, options).error().message, HasSubstr("is gone"));
}

TEST_F(Switch, AReleaseInEffectThatWasChangedOrIsGoneIsNamed) {
  const std::string a = bundle("a");
  const std::string b = bundle("b");
  ASSERT_TRUE(go(a).ok());
  ASSERT_TRUE(go(b).ok());
  const auto found = [&] {
    const PublicKey key = key_.public_key();
    return problems_in_effect(*project_, read_log_state(*project_, key), key);
  };
  std::ofstream(project_->releases() + "/" + a + "/config/a") << "x";
  EXPECT_THAT(found(), IsEmpty()) << "not in effect any more";
  std::ofstream(project_->releases() + "/" + b + "/config/a") << "x";
  EXPECT_THAT(found(), ElementsAre(HasSubstr("in effect in prod: release")));
  std::filesystem::remove_all(project_->releases() + "/" + b);
  EXPECT_THAT(found(), ElementsAre(HasSubstr("holds no release")));
  EXPECT_THAT(problems(), IsEmpty()) << "of the log";
}

TEST_F(Switch, ALogOfAnotherKeyAndNoLog) {
  ASSERT_TRUE(go(bundle("a")).ok());
  const auto found = check_log(rows(), std::nullopt, SigningKey::make().public_key());
  EXPECT_THAT(found.at(0), HasSubstr("row 1: not signed"));
  EXPECT_EQ(AuditLog::open(dir_.file("none"), false).error().code, ErrorCode::kNotFound);
  std::ofstream(dir_.file("junk")) << std::string(5000, 'x');
  const auto junk = AuditLog::open(dir_.file("junk"), false);
  EXPECT_TRUE(!junk.ok() || !junk->rows().ok());
}

TEST_F(Switch, TheHistoryOfPromotionsAndRollbacks) {
  const auto row = [](const char* action, const char* release) {
    AuditRow r;
    r.action = action;
    r.env = "prod";
    r.release = release;
    return r;
  };
  std::vector<AuditRow> all;
  const auto add = [&](const char* action, const char* release, bool took = true) {
    all.push_back(row(action, release));
    all.push_back(row(took ? kActInEffect : kActAbandoned, release));
  };
  EXPECT_FALSE(last_good(all, "prod").has_value());
  add(kActPromote, "a");
  EXPECT_FALSE(last_good(all, "prod").has_value());
  add(kActPromote, "b");
  add(kActPromote, "x", false);
  add(kActPromote, "c");
  EXPECT_THAT(release_stack(all, "prod"), ElementsAre("a", "b", "c"));
  EXPECT_EQ(last_good(all, "prod"), "b");
  add(kActRollback, "b");
  EXPECT_EQ(last_good(all, "prod"), "a") << "not c, which was taken back";
  EXPECT_FALSE(last_good(all, "stage").has_value());
  EXPECT_TRUE(was_in_effect(all, "prod", "c"));
  EXPECT_FALSE(was_in_effect(all, "prod", "x"));
}

TEST_F(Switch, RollbackRestoresTheLastGoodAndProvesIt) {
  const std::string a = bundle("a");
  const std::string b = bundle("b");
  ASSERT_TRUE(go(a).ok());
  AuditLog l = log();
  RollbackOptions options;
  options.env = "prod";
  EXPECT_THAT(roll_back(*project_, l, key_, actor_, options).error().message,
              HasSubstr("no earlier one"));
  ASSERT_TRUE(go(b).ok());
  const auto proof = roll_back(*project_, l, key_, actor_, options);
  ASSERT_TRUE(proof.ok()) << proof.error().message;
  EXPECT_EQ(proof->from, b);
  EXPECT_EQ(proof->to, a);
  EXPECT_EQ(proof->files, 1u);
  EXPECT_TRUE(proof->model_checked);
  EXPECT_EQ(in_effect(), a);
  options.to = b;
  ASSERT_TRUE(roll_back(*project_, l, key_, actor_, options).ok());
  EXPECT_EQ(in_effect(), b);
  options.to = bundle("never");
  EXPECT_THAT(roll_back(*project_, l, key_, actor_, options).error().message,
              HasSubstr("never in effect"));
}

TEST_F(Switch, ABundleOrModelThatWasChangedIsNotRestored) {
  const std::string a = bundle("a");
  ASSERT_TRUE(go(a).ok());
  const std::string b = bundle("b");
  ASSERT_TRUE(go(b).ok());
  AuditLog l = log();
  RollbackOptions options;
  options.env = "prod";
  std::ofstream(project_->path("m.gguf")) << "other";
  EXPECT_THAT(roll_back(*project_, l, key_, actor_, options).error().message,
              HasSubstr("another model"));
  std::ofstream(project_->path("m.gguf")) << "model";
  std::ofstream(project_->releases() + "/" + a + "/config/a") << "z";
  EXPECT_THAT(roll_back(*project_, l, key_, actor_, options).error().message,
              HasSubstr("config/a was changed"));
  EXPECT_EQ(in_effect(), b);
  EXPECT_EQ(rows().size(), 4u) << "nothing was announced";
}

TEST_F(Switch, ARollbackThatIsKilled) {
  const std::string a = bundle("a");
  const std::string b = bundle("b");
  ASSERT_TRUE(go(a).ok());
  ASSERT_TRUE(go(b).ok());
  RollbackOptions options;
  options.env = "prod";
  killed_at(SwitchStep::kAnnounced, [&](const SwitchHook& hook) {
    AuditLog l = log();
    (void)roll_back(*project_, l, key_, actor_, options, hook);
  });
  EXPECT_EQ(in_effect(), b);
  AuditLog l = log();
  ASSERT_TRUE(close_interrupted(*project_, l, key_, actor_).ok());
  ASSERT_TRUE(roll_back(*project_, l, key_, actor_, options).ok());
  EXPECT_EQ(in_effect(), a);
  EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(Switch, ARehearsalIsLoggedAndChangesNothing) {
  const std::string a = bundle("a");
  ASSERT_TRUE(go(a).ok());
  AuditLog l = log();
  RollbackOptions options;
  options.env = "prod";
  double seconds = -1;
  EXPECT_TRUE(rehearse_rollback(*project_, l, key_, actor_, options, seconds).value().first);
  EXPECT_GE(seconds, 0);
  EXPECT_THAT(rows().back().details, HasSubstr("\"model_checked\":true,\"model_bytes\":5"));
  ASSERT_TRUE(go(bundle("b")).ok());
  const auto proof = rehearse_rollback(*project_, l, key_, actor_, options, seconds);
  ASSERT_TRUE(proof.ok()) << proof.error().message;
  EXPECT_EQ(proof->to, a);
  EXPECT_FALSE(proof->first);
  EXPECT_NE(in_effect(), a);
  EXPECT_EQ(rows().back().action, kActRehearsal);
  EXPECT_THAT(rows().back().details, HasSubstr("\"seconds\""));
  EXPECT_THAT(problems(), IsEmpty());
  for (const auto& entry : std::filesystem::directory_iterator(project_->releases()))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".rehearsal")) << entry.path();
}

TEST_F(Switch, OneAtATime) {
  const auto first = ReleaseLock::take(*project_);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(ReleaseLock::take(*project_).error().message, HasSubstr("another command"));
}

}  // namespace
}  // namespace weir::ops
