#include "ops/engines/engine_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ops/engines/catalog.h"
#include "ops/intake/fields.h"

namespace weir::ops {
namespace {

TEST(EngineFacts, EveryNameIsOneOfSomeSnapshot) {
  ASSERT_GT(engine_facts().facts.size(), 20U);
  std::vector<EngineSnapshot> snapshots;
  for (const EngineVersion& v : engine_versions())
    snapshots.push_back(*engine_snapshot(v.engine, v.version));
  const auto known = [&](std::string_view engine, const std::string& name) {
    const std::string outer = name.substr(0, name.find('.'));  // of a key that is JSON
    return std::any_of(snapshots.begin(), snapshots.end(), [&](const EngineSnapshot& s) {
      if (s.engine() != engine) return false;
      return name.starts_with("--") ? s.find_flag(name).option != nullptr
                                    : s.find_key(name) != nullptr || s.find_key(outer) != nullptr;
    });
  };
  for (const FactKind& fact : engine_facts().facts) {
    for (const auto& [engine, names] : fact.engines) {
      for (const FactName& name : names) {
        EXPECT_TRUE(known(engine, name.option))
            << fact.name << ": " << engine << " has no " << name.option;
      }
    }
  }
}

TEST(EngineFacts, IntakeFieldsExistAndEnginesAreKnown) {
  for (const FactKind& fact : engine_facts().facts) {
    if (fact.intake.empty()) continue;
    EXPECT_NE(find_intake_field(fact.intake), nullptr) << fact.intake;
  }
  for (const EngineProgram& e : engine_facts().engines) {
    EXPECT_TRUE(engine_snapshot(e.engine).ok()) << e.engine;
    EXPECT_FALSE(e.programs.empty()) << e.engine;
  }
}

TEST(EngineFacts, EveryQuantizationOfASnapshotIsKnown) {
  const FactKind* kind = engine_facts().find_fact("quantization");
  ASSERT_NE(kind, nullptr);
  std::set<std::string> used;
  for (const EngineVersion& v : engine_versions()) {
    const auto names = kind->engines.find(v.engine);
    if (names == kind->engines.end()) continue;
    const auto snapshot = engine_snapshot(v.engine, v.version);
    const EngineOption* o = snapshot->find_flag(names->second[0].option).option;
    ASSERT_NE(o, nullptr) << v.engine << " " << v.version;
    for (const auto& values : {o->choices, o->known_values}) {
      for (const std::string& name : values) {
        EXPECT_NE(engine_facts().find_quantization(v.engine, name), nullptr)
            << v.engine << " " << v.version << ": " << name;
        used.insert(name);
      }
    }
  }
  for (const QuantizationName& q : engine_facts().quantizations)
    EXPECT_TRUE(used.contains(q.name)) << q.name << " is in no snapshot";
  EXPECT_EQ(engine_facts().find_quantization("vllm", "modelopt")->bits, 8);
  EXPECT_EQ(engine_facts().find_quantization("sglang", "modelopt")->bits, 0);
}

TEST(EngineFacts, NamesSayMembersMeaningsAndInversions) {
  const auto facts = parse_engine_facts(
      "facts:\n  - {name: x, type: text, a: [--f.m, draft=--g], b: \"!--off\"}\n", "f");
  ASSERT_TRUE(facts.ok());
  const FactKind& x = facts->facts[0];
  EXPECT_EQ(x.engines.at("a")[0].option, "--f");
  EXPECT_EQ(x.engines.at("a")[0].member, "m");
  EXPECT_EQ(x.engines.at("a")[1].means, "draft");
  EXPECT_TRUE(x.engines.at("b")[0].inverted);
  EXPECT_FALSE(parse_engine_facts("facts:\n  - {name: x}\n", "f").ok());
  EXPECT_THAT(parse_engine_facts("facts: []\nquantizations:\n  - {names: [a], bits: x}\n", "f")
                  .error()
                  .message,
              testing::HasSubstr("f:3: a quantization needs"));
}

}  // namespace
}  // namespace weir::ops
