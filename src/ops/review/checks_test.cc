// Each item of the checklist: once it passes, and each way in which it must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>

#include "ops/lint/rules.h"
#include "ops/review/review_testing.h"
#include "ops/sources/sources.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Review reviewed(const ReviewInput& in, const std::vector<Waiver>& waivers = {}) {
  return review(built_in_checklist(), in, waivers);
}

TEST(Checks, EveryItemPasses) {
  const Review r = reviewed(passing_input());
  EXPECT_EQ(r.items.size(), built_in_checklist().items.size());
  for (const ReviewedItem& i : r.items) {
    EXPECT_EQ(i.verdict, ReviewVerdict::kPass) << i.item->id << ": " << i.found;
    EXPECT_FALSE(i.found.empty()) << i.item->id;
  }
  EXPECT_TRUE(r.passed());
  EXPECT_EQ(item_of(r, "slo").files, std::vector<std::string>{"load.json"});
  EXPECT_EQ(item_of(r, "overload").files, std::vector<std::string>{"over.json"});
  EXPECT_EQ(item_of(r, "quality").files, std::vector<std::string>{"gate.json"});
}

struct Broken {
  const char* item;
  const char* found;  // part of what is said
  std::function<void(ReviewInput&)> change;
};

EnvFile& file(ReviewInput& in, const std::string& path) {
  for (EnvFile& f : in.candidate.files) {
    if (f.path == path) return f;
  }
  return in.candidate.files.emplace_back(EnvFile{path, ""});
}

std::function<void(ReviewInput&)> text(const std::string& path, const std::string& text) {
  return [=](ReviewInput& in) {
    file(in, path).text = text;
    give_test_files(in, in.candidate.files);
    // Reports are of this candidate: only what the item looks at is to be wrong.
    for (Evidence& e : in.evidence) e.subject = in.candidate.subject(1);
  };
}

std::function<void(ReviewInput&)> load(const std::function<void(LoadRunEvidence&)>& change) {
  return [=](ReviewInput& in) { change(in.evidence[1].runs[0]); };
}

std::function<void(ReviewInput&)> over(const std::function<void(LoadRunEvidence&)>& change) {
  return [=](ReviewInput& in) { change(in.evidence[0].runs[0]); };
}

constexpr const char* kServe = "vllm/serve.sh";
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<Broken> broken_baseline() {
  return {
      {"intake", "slo.ttft_ms_p95", [](auto& in) { in.intake.erase("slo.ttft_ms_p95"); }},
      {"pinned", "model.json is missing", [](auto& in) { in.candidate.model = {}; }},
      {"pinned", "another model", [](auto& in) { in.model_problem = "another model"; }},
      {"baseline", "no report", [](auto& in) { in.evidence.clear(); }},
      {"baseline", "model.json is missing", [](auto& in) { in.candidate.model = {}; }},
      {"baseline", "is not within 25 %", load([](auto& r) { r.offered_per_s = 2; })},
      {"baseline", "never more than one", load([](auto& r) { r.peak_in_flight = 1; })},
      {"baseline", "1 concurrent is not within", load([](auto& r) {
         r.offered_per_s = 0;
         r.concurrency = 1;
       })},
      {"baseline", "100 requests are fewer", load([](auto& r) { r.requests = r.ok = 100; })},
      {"baseline", "prompts of 10.0 tokens", load([](auto& r) { r.prompt_tokens = 4000; })},
      {"baseline", "answers of 1.00 tokens", load([](auto& r) { r.output_tokens = 400; })},
      {"baseline", "measured a server of \"mock\", and envs/stage serves \"/models/x\"",
       [](auto& in) {
         for (Evidence& e : in.evidence) e.model = "mock";
       }},
      {"baseline", "of another model",
       [](auto& in) { in.evidence[1].subject.model_sha256 = std::string(64, 'b'); }},
      {"baseline", "of another configuration",
       [](auto& in) { in.evidence[1].subject.config_sha256 = std::string(64, 'b'); }},
      {"baseline", "31 days old",
       [](auto& in) {
         in.evidence.erase(in.evidence.begin());
         in.evidence[0].created_s = in.now_s - 31 * kDayS;
       }},
      {"baseline", "still to come",
       [](auto& in) {
         in.evidence.erase(in.evidence.begin());
         in.evidence[0].created_s = in.now_s + kDayS;
       }},
      {"baseline", "does not say of which candidate",
       [](auto& in) {
         in.evidence.erase(in.evidence.begin());
         in.evidence[0].subject = {};
       }},
      {"baseline", "broken.json",
       [](auto& in) {
         in.evidence.clear();
         in.unread = {"broken.json: it is no JSON"};
       }},
  };
}

std::vector<Broken> broken_slo() {
  return {
      {"slo", "no report", [](auto& in) { in.evidence.clear(); }},
      {"slo", "is not the planned load", load([](auto& r) { r.offered_per_s = 3.5; })},
      {"slo", "which a p99 needs", load([](auto& r) { r.requests = r.ok = 399; })},
      {"slo", "p95 TTFT 600 ms is over 500 ms", load([](auto& r) { r.ttft_p95_ms = 600; })},
      {"slo", "p95 ITL 60.0 ms is over 50.0", load([](auto& r) { r.itl_p95_ms = 60; })},
      {"slo", "p99 total 20.0 s is over 10.0 s", load([](auto& r) { r.e2e_p99_ms = 20000; })},
      {"slo", "p99 total was not measured", load([](auto& r) { r.e2e_p99_ms = kNan; })},
      {"slo", "no bound for p95 TTFT", [](auto& in) { in.intake.erase("slo.ttft_ms_p95"); }},
      {"slo", "no slo.error_budget", [](auto& in) { in.intake.erase("slo.error_budget"); }},
      {"slo", "2.00 % of requests failed", load([](auto& r) {
         r.ok = 392;
         r.failed = 8;
       })},
      {"slo", "is not the planned load", [](auto& in) { in.load.requests_per_s = 0; }},
      {"slo", "prompts of 10.0 tokens", load([](auto& r) { r.prompt_tokens = 4000; })},
      {"slo", "answers of 1.00 tokens", load([](auto& r) { r.output_tokens = 400; })},
      {"slo", "p95 TTFT 600 ms is over",
       [](auto& in) {
         auto& runs = in.evidence[1].runs;
         runs.insert(runs.begin(), 2, runs[0]);
         runs[0].ttft_p95_ms = runs[1].ttft_p95_ms = 600;
       }},
      {"overload", "prompts of 10.0 tokens", over([](auto& r) { r.prompt_tokens = 2000; })},
      {"overload", "nothing was refused",
       [](auto& in) {
         auto& runs = in.evidence[0].runs;
         runs.push_back(runs[0]);
         runs[1].refused = 0;
       }},
      {"overload", "no report", [](auto& in) { in.evidence.erase(in.evidence.begin()); }},
      {"overload", "do not overload: use --rate", over([](auto& r) {
         r.offered_per_s = 0;
         r.concurrency = 64;
       })},
      {"overload", "not above capacity", over([](auto& r) { r.ok_per_s = 11; })},
      {"overload", "nothing was refused", over([](auto& r) {
         r.refused = 0;
         r.ok = 400;
       })},
      {"overload", "failed instead of being refused", over([](auto& r) {
         r.refused = 100;
         r.failed = 100;
       })},
      {"overload", "of those accepted the p95 TTFT", over([](auto& r) { r.ttft_p95_ms = 600; })},
      {"overload", "refusals took 5,000 ms", over([](auto& r) { r.refusal_p95_ms = 5000; })},
      {"overload", "refusals took ", over([](auto& r) { r.refusal_p95_ms = kNan; })},
      {"overload", "100 requests are fewer", over([](auto& r) { r.requests = 100; })},
  };
}

std::vector<Broken> broken_gate_or_drill() {
  return {
      {"quality", "no gate result", [](auto& in) { in.evidence.pop_back(); }},
      {"quality", "the gate says fail", [](auto& in) { in.evidence[2].verdict = "fail"; }},
      {"quality", "the gate says inconclusive",
       [](auto& in) { in.evidence[2].verdict = "inconclusive"; }},
      {"quality", "whose file is quantized to Q4_K",
       [](auto& in) {
         in.evidence.pop_back();
         (void)in.intake.set_text("model.precision", "bf16", Origin::kGiven, "");
         in.quantized = "Q4_K";
       }},
      {"quality", "of another model",
       [](auto& in) { in.evidence[2].subject.model_sha256 = std::string(64, 'b'); }},
      {"quality", "of another model",
       [](auto& in) { in.evidence[2].subject.numerics_sha256 = std::string(64, 'b'); }},
      {"quality", "31 days old",
       [](auto& in) { in.evidence[2].created_s = in.now_s - 31 * kDayS; }},
      {"rollback", "no release is in effect", [](auto& in) { in.log.clear(); }},
      {"rollback", "no rehearsal", [](auto& in) { in.log.pop_back(); }},
      {"rollback", "no rehearsal in stage since",
       [](auto& in) { in.log.push_back(test_row(kActInEffect, "{}", 3)); }},
      {"rollback", "31 days old", [](auto& in) { in.log[1].unix_s = in.now_s - 31 * kDayS; }},
      {"rollback", "over constraints.rollback_minutes",
       [](auto& in) { in.log[1].details = "{\"seconds\":301}"; }},
      {"rollback", "how long it took", [](auto& in) { in.log[1].details = "{}"; }},
      {"rollback", "no rehearsal", [](auto& in) { in.log[1].env = "prod"; }},
      {"rollback", "the model was not checked",
       [](auto& in) { in.log[1].details = test_drill(false, "e"); }},
      {"rollback", "the model was not checked",
       [](auto& in) { in.log[1].details = "{\"seconds\":2}"; }},
      {"rollback", "went back to the release in effect itself",
       [](auto& in) {
         AuditRow older = test_row(kActPromote, "{}", 1);
         older.release = std::string(64, 'a');
         AuditRow closed = older;
         closed.action = kActInEffect;
         in.log = {older, closed, test_row(kActPromote, "{}", 3), test_row(kActInEffect, "{}", 4),
                   test_row(kActRehearsal, test_drill(true, "d"), 5)};
       }},
      {"rollback", "row 2: changed", [](auto& in) { in.log_problems = {"row 2: changed"}; }},
  };
}

constexpr const char* kChart =
    "modelArtifacts: {name: org/x, uri: \"hf://org/x\", labels: {app: x}}\n"
    "decode: {create: true, replicas: 2}\n";

// A pod with an engine, in a namespace.
std::string pods(const std::string& policy) {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: llm}\nspec:\n"
         "  replicas: 2\n  template:\n    metadata: {labels: {app: x, tier: engine}}\n    spec:\n"
         "      containers:\n      - name: x\n        image: vllm/vllm-openai:v0.33.0\n"
         "        resources: {limits: {memory: 8Gi}}\n"
         "        args: [--model, /models/x, --max-num-queued-reqs, \"8\"]\n---\n" +
         policy;
}

std::string policy(const std::string& name_space, const std::string& app,
                   const std::string& rules) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
         "metadata: {name: n, namespace: " +
         name_space +
         "}\nspec:\n"
         "  podSelector: {matchLabels: {app: " +
         app + "}}\n  ingress: " + rules + "\n";
}

// As policy(), of pods by an expression.
std::string policy_by(const std::string& expression, const std::string& rules) {
  std::string out = policy("llm", "x", rules);
  const std::string labels = "{matchLabels: {app: x}}";
  return out.replace(out.find(labels), labels.size(), "{matchExpressions: [" + expression + "]}");
}

std::string way(const std::string& service, const std::string& selector) {
  return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: "
         "llm}\nspec:\n  tls: [{secretName: s}]\n"
         "  rules: [{http: {paths: [{backend: {service: {name: " +
         service +
         "}}}]}}]\n---\n"
         "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: llm}\nspec: {selector: " +
         selector + "}\n";
}

std::vector<Broken> broken_pods() {
  const std::string gateway = "[{from: [{podSelector: {matchLabels: {app: gateway}}}]}]";
  std::string key = pods(way("x", "{app: other}"));
  key.insert(key.find("        args"), "        env: [{name: VLLM_API_KEY, valueFrom: {a: b}}]\n");
  std::string other_service = pods(way("y", "{app: x}"));
  other_service.insert(other_service.find("        args"),
                       "        env: [{name: VLLM_API_KEY, valueFrom: {a: b}}]\n");
  return {
      {"security", "no key, and no NetworkPolicy", text("k8s/all.yaml", pods(""))},
      {"security", "selects other pods",
       text("k8s/all.yaml", pods(policy("kube-system", "x", gateway)))},
      {"security", "selects other pods", text("k8s/all.yaml", pods(policy("llm", "y", gateway)))},
      {"security", "lets everyone in", text("k8s/all.yaml", pods(policy("llm", "x", "[{}]")))},
      {"security", "lets everyone in",
       text("k8s/all.yaml", pods(policy("llm", "x", "[{from: []}]")))},
      {"security", "lets everyone in",
       text("k8s/all.yaml", pods(policy("llm", "x", "[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]")))},
      {"security", "lets everyone in",
       text("k8s/all.yaml", pods(policy("llm", "x", gateway) + "---\n" +
                                 policy("llm", "x", "[{from: [{namespaceSelector: {}}]}]")))},
      {"security", "lets everyone in",
       text("k8s/all.yaml", pods(policy_by("{key: app, operator: In, values: [y, x]}", "[{}]")))},
      {"security", "lets everyone in",
       text("k8s/all.yaml", pods(policy_by("{key: gpu, operator: NotIn, values: [a]}, "
                                           "{key: tier, operator: Exists}",
                                           "[{}]")))},
      {"security", "selects other pods",
       text("k8s/all.yaml", pods(policy_by("{key: app, operator: NotIn, values: [x]}", gateway)))},
      {"security", "selects other pods",
       text("k8s/all.yaml", pods(policy_by("{key: tier, operator: DoesNotExist}", gateway)))},
      {"security", "selects other pods",
       text("k8s/all.yaml", pods(policy_by("{key: app, operator: Near, values: [x]}", gateway)))},
      {"security", "is reached in clear", text("k8s/all.yaml", key)},
      {"security", "is reached in clear", text("k8s/all.yaml", other_service)},
      {"security", "no key, and no NetworkPolicy",
       [](auto& in) {
         text("k8s/all.yaml", pods(""))(in);
         text(kServe, "")(in);
       }},
  };
}

std::vector<Broken> broken_files() {
  const std::string serve = "vllm serve /models/x --max-num-queued-reqs 64 --max-num-seqs 32";
  return {
      {"pinned", "image-latest",
       text("compose.yaml",
            "services:\n  a:\n    image: vllm/vllm-openai:latest\n    command: "
            "--model x --max-num-queued-reqs 4\n")},
      {"limits", "queue-unbounded", text(kServe, "vllm serve /models/x --host 127.0.0.1\n")},
      {"limits", "no file of envs/stage starts", text(kServe, "echo\n")},
      {"limits", "flag-unknown",
       text(kServe, "vllm serve /models/x --host 127.0.0.1 --max-num-queued-reqs 8 --nothing 3\n")},
      {"limits", "memory-utilization-high",
       text(kServe,
            "vllm serve /models/x --host 127.0.0.1 --max-num-queued-reqs 8 "
            "--gpu-memory-utilization 0.99\n")},
      {"limits", "nothing bounds the queue of llama.cpp", text(kServe, "llama-server -m x.gguf\n")},
      {"limits", "policy.yaml:1", text("policy.yaml", "retrys: 1\n")},
      {"retries", "neither envs/stage/policy.yaml nor a proxy",
       text("policy.yaml", "version: 1\n")},
      {"retries", "9 attempts",
       text("policy.yaml", "retries: {max_attempts: 9, budget_share: 0.1}\n")},
      {"retries", "retries of 90 %",
       text("policy.yaml", "retries: {max_attempts: 2, budget_share: 0.9}\n")},
      {"retries", "tries every server",
       text("nginx/nginx.conf",
            "server { location / { proxy_pass "
            "http://x; } }\n")},
      {"retries", "tries a request 7 times",
       text("haproxy/haproxy.cfg", "defaults\n  retries 6\nbackend a\n  server a 1:1\n")},
      {"retries", "tries a request 9 times",
       text("haproxy/haproxy.cfg",
            "defaults\n  retries 1\nbackend a\n  retries 8\n  server a 1:1\nbackend b\n  retries "
            "2\n")},
      {"retries", "tries every server",
       text("nginx/nginx.conf",
            "server { location /a { proxy_next_upstream off; proxy_pass http://x; }\n"
            "location /b { proxy_pass http://x; } }\n")},
      {"retries", "tries a request 9 times",
       text("nginx/nginx.conf",
            "http { server { location /a { proxy_pass http://x; proxy_next_upstream_tries 2; }\n"
            "location /b { proxy_pass http://x; } }\nproxy_next_upstream_tries 9; }\n")},
      {"retries", "tries a request 8 times",
       text("route.yaml", "kind: HTTPRoute\nspec: {rules: [{retry: {attempts: 7}}]}\n")},
      {"caches", "the cache \"tier\" outlives",
       text("weir/weir.yaml", "model: x\nkv: {tier_file: /x, tier_bytes: 5}\n")},
      {"caches", "the cache \"responses\" outlives",
       text("nginx/nginx.conf",
            "server { proxy_cache c; proxy_pass http://x; "
            "proxy_next_upstream_tries 2; }\n")},
      {"telemetry", "collects metrics", text("prometheus/rules.yaml", "groups: []\n")},
      {"telemetry", "stats-off", text(kServe, serve + " --host 127.0.0.1 --disable-log-stats\n")},
      {"alerts", "is about latency (0 alerts", text("prometheus/rules.yaml", "groups: []\n")},
      {"alerts", "is about queues (2 alerts",
       text("prometheus/rules.yaml",
            "groups: [{rules: [{alert: A, expr: ttft > 1}, {alert: B, expr: up == 0}]}]\n")},
  };
}

std::vector<Broken> broken_security() {
  const std::string serve = "vllm serve /models/x --max-num-queued-reqs 64 --max-num-seqs 32";
  return {
      {"security", "api-key-missing", text(kServe, serve + " --host 203.0.113.5\n")},
      {"security", "api-key-missing", text(kServe, serve + " --host [::]\n")},
      {"security", "api-key-missing", text(kServe, serve + " --host 10.1.2.3\n")},
      {"security", "api-key-missing", text(kServe, "VLLM_API_KEY= " + serve + "\n")},
      {"security", "api-key-missing", text(kServe, serve + " --api-key \"\"\n")},
      {"security", "vllm.yaml:2",
       text("vllm/vllm.yaml", "model: x\nhost: 0.0.0.0\nmax-num-queued-reqs: 4\n")},
      {"security", "whoever reaches llm-d", text("llm-d/values.yaml", kChart)},
      {"security", "whoever reaches weir", text("weir/weir.yaml", "model: x\nhost: 10.0.0.7\n")},
      {"security", "api-key-missing", text(kServe, serve + "\n")},
      {"security", "is reached in clear", text(kServe, serve + " --api-key $KEY\n")},
      {"security", "secret-in-clear", text(kServe, serve + " --api-key abcdef\n")},
      {"security", "weir-open",
       text("weir/weir.yaml", "model: x\nhost: 0.0.0.0\nallow_remote_without_keys: true\n")},
      {"security", "whoever reaches weir", text("weir/weir.yaml", "model: x\nhost: 0.0.0.0\n")},
  };
}

TEST(Checks, EveryItemFailsAsItMust) {
  std::set<std::string> seen;
  const ReviewInput passing = passing_input();  // reading its files is the slow part
  std::vector<Broken> all;
  for (const auto& some : {broken_baseline(), broken_slo(), broken_gate_or_drill(), broken_files(),
                           broken_pods(), broken_security()})
    all.insert(all.end(), some.begin(), some.end());
  for (const Broken& b : all) {
    ReviewInput in = passing;
    b.change(in);
    const Review r = reviewed(in);
    const ReviewedItem& item = item_of(r, b.item);
    EXPECT_EQ(item.verdict, ReviewVerdict::kFail) << b.item << ", wanted: " << b.found;
    EXPECT_THAT(item.found, HasSubstr(b.found)) << b.item;
    EXPECT_FALSE(r.passed());
    EXPECT_THAT(review_text(r), HasSubstr("remedy: "));
    seen.insert(b.item);
  }
  for (const ChecklistItem& item : built_in_checklist().items)
    EXPECT_EQ(seen.count(item.id), 1u) << item.id << " has no failing case";
}

TEST(Checks, OtherWaysToPass) {
  const ReviewInput passing = passing_input();
  const auto passes = [&](const char* id, const std::function<void(ReviewInput&)>& change) {
    ReviewInput in = passing;
    change(in);
    const Review r = reviewed(in);
    EXPECT_EQ(item_of(r, id).verdict, ReviewVerdict::kPass) << id << ": " << item_of(r, id).found;
  };
  // A quarter of the service, measured on one of four replicas.
  passes("slo", [](auto& in) { in.load = {16, 64, 4, "intake.yaml"}; });
  passes("baseline", load([](auto& r) {
           r.offered_per_s = 0;
           r.concurrency = 16;
         }));
  passes("limits", [](auto& in) {
    text(kServe, "llama-server -m x.gguf\n")(in);
    text("nginx/nginx.conf",
         "server { limit_conn a 9; proxy_pass http://x; proxy_next_upstream off; }\n")(in);
  });
  passes("quality", [](auto& in) {
    in.evidence.pop_back();
    (void)in.intake.set_text("model.precision", "bf16", Origin::kGiven, "");
  });
  passes("quality", [](auto& in) {
    in.evidence.pop_back();
    in.in_effect = Manifest();
    in.in_effect->model = in.candidate.model;
    in.in_effect->numerics = in.candidate.config.numerics();
  });
  const std::string gateway = "[{from: [{podSelector: {matchLabels: {app: gateway}}}]}]";
  passes("security", text("k8s/all.yaml", pods(policy("llm", "x", gateway))));
  passes("security", text("k8s/all.yaml", pods(policy("llm", "x", "[]"))));
  passes("security",
         text("k8s/all.yaml", pods(policy_by("", gateway))));  // no expression: all pods
  passes("security", text("k8s/all.yaml",
                          pods(policy_by("{key: app, operator: In, values: [x, y]}", gateway))));
  passes("security", [&](auto& in) {
    std::string key = pods(way("x", "{app: x}"));
    key.insert(key.find("        args"),
               "        env: [{name: VLLM_API_KEY, valueFrom: {a: b}}]\n");
    text("k8s/all.yaml", key)(in);
  });
  passes("security", [&](auto& in) {
    text("llm-d/values.yaml", kChart)(in);
    text("net.yaml",
         "kind: NetworkPolicy\nspec:\n  podSelector: {matchLabels: {app: x}}\n  ingress: " +
             gateway + "\n")(in);
  });
  passes("security", [](auto& in) {
    text("vllm/vllm.yaml", "model: /models/x\nmax-num-queued-reqs: 4\n")(in);
    text(kServe, "vllm serve --config vllm.yaml --host 127.0.0.1\n")(in);
  });
  passes("security", text(kServe, "vllm serve /models/x --host ::1\n"));
  passes("security", text(kServe, "llama-server -m x.gguf\n"));
  // Above the planned load nothing is promised.
  passes("slo", [](auto& in) {
    auto& runs = in.evidence[1].runs;
    runs.push_back(runs[0]);
    runs[1].offered_per_s = 5;
    runs[1].ttft_p95_ms = 900;
  });
  passes("retries", text("nginx/nginx.conf",
                         "http { proxy_next_upstream_tries 2; server { location /a {\n"
                         "proxy_next_upstream off; proxy_pass http://x; }\n"
                         "location /b { proxy_pass http://x; } } }\n"));
  passes(
      "retries",
      text("haproxy/haproxy.cfg",
           "defaults a\n  retries 8\ndefaults b\n  retries 1\nbackend a from b\n  server a 1:1\n"));
  passes("rollback", [](auto& in) {
    in.log[1].details = "{\"from\":\"e\",\"model_checked\":false,\"model_bytes\":0,\"seconds\":2}";
  });
  passes("security",
         text("weir/weir.yaml", "model: x\nhost: 0.0.0.0\nkeys_file: k\ntls: {cert: a, key: b}\n"));
  passes("caches", text("weir/weir.yaml", "model: x\nkv: {snapshot: /x}\n"));
}

TEST(Checks, ANewerBadRunIsNotOutvotedByAnOlderGoodOne) {
  ReviewInput in = passing_input();
  Evidence bad = in.evidence[1];
  bad.file = "newer.json";
  bad.runs[0].ttft_p95_ms = 900;
  in.evidence.insert(in.evidence.begin(), bad);
  const Review r = reviewed(in);
  EXPECT_EQ(item_of(r, "slo").verdict, ReviewVerdict::kFail);
  EXPECT_THAT(item_of(r, "slo").found, HasSubstr("newer.json"));
}

TEST(Checks, TheRehearsalOfAFirstReleaseSaysWhatItIs) {
  ReviewInput in = passing_input();
  in.log = {test_row(kActPromote, "{}", 1), test_row(kActInEffect, "{}", 2),
            test_row(kActRehearsal, test_drill(true, "d"), 3)};
  const Review r = reviewed(in);
  EXPECT_EQ(item_of(r, "rollback").verdict, ReviewVerdict::kPass);
  EXPECT_THAT(
      item_of(r, "rollback").found,
      HasSubstr("first release: nothing to go back to; dddddddddddd restored itself in 2.00 s"));
}

TEST(Checks, ARepositoryIsNotAHashedFile) {
  ReviewInput in = passing_input();
  const std::string commit(40, 'b');
  in.candidate.model = {"org/x", "org/x@" + commit, std::string(64, 'a'), 0};
  const Review r = reviewed(in);
  EXPECT_EQ(item_of(r, "pinned").found, "org/x at commit bbbbbbbbbbbb…");
}

TEST(Checks, AChangeOfTypeAsksForAGateAgain) {
  ReviewInput in = passing_input();
  in.evidence.pop_back();
  in.in_effect = Manifest();
  in.in_effect->model = in.candidate.model;
  in.in_effect->numerics = in.candidate.config.numerics();
  text(kServe,
       "vllm serve /models/x --host 127.0.0.1 --max-num-queued-reqs 64 --kv-cache-dtype "
       "fp8\n")(in);
  EXPECT_EQ(item_of(reviewed(in), "quality").verdict, ReviewVerdict::kFail);
}

TEST(Checks, DevIsAskedLess) {
  ReviewInput in = passing_input();
  in.env = "dev";
  in.evidence = {in.evidence[2]};
  in.log.clear();
  const Review r = reviewed(in);
  EXPECT_TRUE(r.passed()) << review_text(r);
  EXPECT_LT(r.items.size(), built_in_checklist().items.size());
}

TEST(Checklist, IsWhole) {
  const Checklist& checklist = built_in_checklist();
  EXPECT_EQ(checklist.items.size(), 13u);
  const auto sources = built_in_sources();
  ASSERT_TRUE(sources.ok());
  for (const ChecklistItem& item : checklist.items) {
    EXPECT_NE(find_check(item.id), nullptr) << item.id;
    EXPECT_NE(sources->find(item.source), nullptr) << item.id << ": " << item.source;
    EXPECT_THAT(item.envs, ::testing::Not(IsEmpty()));
    for (const std::string& rule : item.rules)
      EXPECT_NE(LintRules::built_in().find(rule), nullptr) << item.id << ": " << rule;
  }
  EXPECT_EQ(find_check("none"), nullptr);
  EXPECT_THAT(parse_checklist("items: [{id: a}]", "c.yaml").error().message,
              HasSubstr("needs title"));
}

TEST(Review, ReportsSayTheSame) {
  ReviewInput in = passing_input();
  in.intake.erase("slo.ttft_ms_p95");
  const Review r = reviewed(in);
  EXPECT_THAT(r.failed(), ::testing::Contains("intake"));
  const text::Json json = review_json(r);
  EXPECT_EQ(json.find("verdict")->as_string(), "fail");
  EXPECT_EQ(json.find("items")->size(), r.items.size());
  EXPECT_EQ(json.find("items")->items()[0].find("verdict")->as_string(), "fail");
  const std::string html = review_html(r, *built_in_sources());
  EXPECT_THAT(html, HasSubstr("fail: intake"));
  EXPECT_THAT(html, HasSubstr("https://"));
  EXPECT_FALSE(Review().passed()) << "nothing asked is nothing passed";
}

}  // namespace
}  // namespace weir::ops
