#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/deploy/arguments.h"
#include "ops/deploy/other_form.h"
#include "ops/deploy/read.h"
#include "ops/deploy/recognise.h"
#include "ops/engines/catalog.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Deployment read(std::string_view text, std::string_view name = "f.sh",
                std::string_view engine = "") {
  auto r = read_deployment(text, name, engine);
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? std::move(*r) : Deployment();
}

std::string error_of(std::string_view text, std::string_view name = "f.yaml") {
  const auto r = read_deployment(text, name);
  return r.ok() ? "" : r.error().message;
}

// The only container with an engine.
const ContainerSpec& engine_of(const Deployment& d) {
  static const ContainerSpec none;
  for (const WorkloadSpec& w : d.workloads) {
    for (const ContainerSpec& c : w.containers) {
      if (c.call) return c;
    }
  }
  ADD_FAILURE() << "no engine";
  return none;
}

std::vector<std::string> texts(const std::vector<Word>& words) {
  std::vector<std::string> out;
  for (const Word& w : words) out.push_back(w.text);
  return out;
}

TEST(Commands, OptionsOfDockerStandTogetherAndWithTheirValues) {
  for (const char* options :
       {"-p8000:8000 -dt", "-dt -p=8000:8000", "-dp 8000:8000", "-itp8000:8000 --rm",
        "-d=true -p 8000:8000", "-eHF_HOME=/m -v/m:/m -dt -p 8000:8000",
        "--privileged=false -tiP -p8000:8000"}) {
    const Deployment d =
        read(fmt::format("docker run {} vllm/vllm-openai:v0.22.0 --model m\n", options));
    const ContainerSpec& c = engine_of(d);
    EXPECT_EQ(c.image, "vllm/vllm-openai:v0.22.0") << options;
    EXPECT_THAT(texts(c.call->arguments), ElementsAre("--model", "m")) << options;
    EXPECT_TRUE(c.published) << options;
    EXPECT_FALSE(c.privileged) << options;
  }
}

TEST(OtherForm, FilesBesideAnEnginesAreNamed) {
  EXPECT_THAT(other_form("scrape_configs: []\n", "p.yaml"), HasSubstr("Prometheus"));
  EXPECT_THAT(other_form("groups:\n- name: a\n  rules: []\n", "r.yaml"), HasSubstr("rules of"));
  EXPECT_THAT(other_form(R"({"panels": [], "schemaVersion": 39})", "d.json"), HasSubstr("Grafana"));
  EXPECT_THAT(
      other_form("kind: Service\napiVersion: v1\n---\nkind: NetworkPolicy\napiVersion: v1\n",
                 "s.yaml"),
      HasSubstr("(Service, NetworkPolicy)"));
  EXPECT_THAT(other_form("events {\n}\nhttp {\n}\n", "a.conf"), HasSubstr("nginx"));
  EXPECT_THAT(other_form("frontend a\nbackend b\n", "haproxy.cfg"), HasSubstr("haproxy"));
  EXPECT_EQ(other_form("modl: x\nport: 8000\n", "weir.yaml"), "");
  EXPECT_EQ(other_form("vllm serve m\n", "serve.sh"), "");
}

TEST(Recognise, ProgramsBehindWrappersAndShells) {
  for (const auto& [text, engine] : std::vector<std::pair<const char*, const char*>>{
           {"exec numactl -N 0 /opt/bin/vllm serve m", "vllm"},
           {"python3.12 -u -m vllm.entrypoints.openai.api_server --model m", "vllm"},
           {"bash -lc 'cd /x && python -m sglang.launch_server --model-path m'", "sglang"},
           {"./llama-server -m x.gguf", "llama.cpp"},
           {"mpirun -n 2 trtllm-serve m", "tensorrt-llm"},
           {"text-generation-launcher --model-id m", "tgi"},
           {"lmdeploy serve api_server m", "lmdeploy"}}) {
    const Deployment d = read(text);
    EXPECT_EQ(engine_of(d).call->engine, engine) << text;
  }
  EXPECT_THAT(error_of("python train.py\n", "f.sh"), HasSubstr("no engine"));
}

TEST(Recognise, ImagesAndTheirTags) {
  EXPECT_EQ(engine_of_image("registry:5000/vllm/vllm-openai:v0.33.0"), "vllm");
  EXPECT_EQ(engine_of_image("ghcr.io/ggml-org/llama.cpp:server-cuda"), "llama.cpp");
  EXPECT_EQ(engine_of_image("x/vllm-router:1"), "");
  EXPECT_EQ(tag_of_image("registry:5000/vllm/vllm-openai"), "");
  EXPECT_EQ(tag_of_image("a/b:v1@sha256:00"), "v1");
  EXPECT_EQ(version_of_tag("v0.33.0-cu129"), "0.33.0");
  EXPECT_EQ(version_of_tag("v0.5.12.post1-cu129"), "0.5.12.post1");
  EXPECT_EQ(version_of_tag("latest"), "");
  EXPECT_EQ(version_of_tag("server-b6000"), "");
}

TEST(Arguments, AreReadAsTheParserWould) {
  const auto snapshot = engine_snapshot("vllm");
  const auto commands = split_commands(
      "m -tp 2 --no-enable-prefix-caching --max-model-len=8k -O3 --api-key a b --seed -1 x", "f");
  const Settings s = read_arguments(commands->at(0).words, *snapshot);
  ASSERT_EQ(s.all.size(), 6U);
  EXPECT_EQ(s.all[0].option->name, "--tensor-parallel-size");
  EXPECT_THAT(texts(s.all[0].values), ElementsAre("2"));
  EXPECT_TRUE(s.all[1].negated && s.all[1].values.empty());
  EXPECT_TRUE(s.all[2].glued);
  EXPECT_EQ(s.all[3].option->name, "--optimization-level");
  EXPECT_THAT(texts(s.all[4].values), ElementsAre("a", "b"));
  EXPECT_THAT(texts(s.all[5].values), ElementsAre("-1"));
  EXPECT_THAT(texts(s.positional), ElementsAre("m", "x"));
}

TEST(Docker, TheImageAndWhatStandsAroundIt) {
  const Deployment d = read(
      "docker run -d --gpus all --ipc=host -p 8000:8000 \\\n  -e HF_TOKEN=abc -e A \\\n"
      "  vllm/vllm-openai:v0.22.0 \\\n  --model m --max-model-len 8192\n");
  EXPECT_EQ(d.form, ConfigForm::kDocker);
  const ContainerSpec& c = engine_of(d);
  EXPECT_EQ(c.image_line, 3);
  EXPECT_TRUE(c.shared_memory && c.published);
  EXPECT_EQ(c.environment.at("HF_TOKEN").value, "abc");
  EXPECT_FALSE(c.environment.at("A").known);
  EXPECT_THAT(texts(c.call->arguments), ElementsAre("--model", "m", "--max-model-len", "8192"));
  EXPECT_EQ(c.call->arguments[2].line, 4);
}

TEST(Compose, ServicesWithCommandsOfBothForms) {
  const Deployment d = read(
      "services:\n  web: {image: nginx}\n  llm:\n    image: lmsysorg/sglang:v0.5.23\n"
      "    command: >\n      python3 -m sglang.launch_server\n      --model-path m --tp 2\n"
      "    ports: [\"127.0.0.1:30000:30000\"]\n    shm_size: 16g\n    deploy:\n      replicas: 2\n",
      "compose.yaml");
  EXPECT_EQ(d.form, ConfigForm::kCompose);
  const ContainerSpec& c = engine_of(d);
  EXPECT_EQ(c.call->engine, "sglang");
  EXPECT_THAT(texts(c.call->arguments), ElementsAre("--model-path", "m", "--tp", "2"));
  EXPECT_FALSE(c.published);
  EXPECT_TRUE(c.shared_memory);
  EXPECT_EQ(d.workloads[1].replicas, 2);
}

constexpr std::string_view kManifest = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: qwen}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: qwen}}
    spec:
      containers:
      - name: vllm
        image: vllm/vllm-openai:v0.33.0
        command: ["/bin/sh", "-c"]
        args:
        - |
          export X=1
          exec vllm serve m \
            --max-model-len 8192
        resources: {limits: {nvidia.com/gpu: 2, memory: 64Gi}}
        readinessProbe: {httpGet: {path: /health}}
        volumeMounts: [{mountPath: /dev/shm, name: shm}]
      - {name: side, image: busybox}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
spec: {selector: {matchLabels: {app: qwen}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
spec:
  scaleTargetRef: {name: qwen}
  minReplicas: 2
  metrics:
  - type: Resource
    resource: {name: cpu}
)";

TEST(Kubernetes, DocumentsProbesLimitsAndLinesOfTheFile) {
  const Deployment d = read(kManifest, "m.yaml");
  EXPECT_EQ(d.form, ConfigForm::kKubernetes);
  const ContainerSpec& c = engine_of(d);
  EXPECT_EQ(c.call->line, 16);
  EXPECT_EQ(c.call->arguments[1].line, 17);
  EXPECT_EQ(c.devices, 2);
  EXPECT_TRUE(c.readiness && c.memory_limit && c.shared_memory);
  EXPECT_FALSE(c.liveness || c.startup);
  EXPECT_EQ(d.workloads[0].replicas_line, 5);
  EXPECT_EQ(d.budgets.at(0).labels.at("app"), "qwen");
  ASSERT_EQ(d.autoscalers.size(), 1U);
  EXPECT_EQ(d.autoscalers[0].signal, "cpu");
  EXPECT_EQ(d.autoscalers[0].line, 33);
}

TEST(Kubernetes, LeaderWorkerSetsListsAndScaledObjects) {
  const Deployment d = read(
      "apiVersion: v1\nkind: List\nitems:\n"
      "- apiVersion: leaderworkerset.x-k8s.io/v1\n  kind: LeaderWorkerSet\n"
      "  metadata: {name: l}\n  spec:\n    leaderWorkerTemplate:\n      leaderTemplate:\n"
      "        spec:\n          containers:\n          - name: a\n            image: x\n"
      "            args: [vllm, serve, m]\n"
      "- apiVersion: keda.sh/v1alpha1\n  kind: ScaledObject\n"
      "  spec:\n    scaleTargetRef: {name: l}\n    triggers:\n    - type: prometheus\n"
      "      metadata: {query: sum(vllm:num_requests_waiting)}\n",
      "m.yaml");
  EXPECT_EQ(engine_of(d).call->engine, "vllm");
  ASSERT_EQ(d.autoscalers.size(), 1U);
  EXPECT_EQ(d.autoscalers[0].signal, "queue");
  EXPECT_EQ(d.autoscalers[0].min_replicas, 0);
}

TEST(KeyFiles, OfTheEngineWhoseKeysTheyAre) {
  const Deployment d =
      read("kv_cache_config:\n  free_gpu_memory_fraction: 0.8\nmax_batch_size: 64\n", "e.yaml");
  const EngineCall& call = *engine_of(d).call;
  EXPECT_EQ(call.engine, "tensorrt-llm");
  EXPECT_EQ(call.keys.at(1).path, "kv_cache_config.free_gpu_memory_fraction");
  EXPECT_EQ(call.keys.at(1).line, 2);
  EXPECT_THAT(error_of("a: 1\nb: 2\n"), HasSubstr("name the engine"));
}

TEST(ReadDeployment, HostileTextIsRefusedWithItsLine) {
  EXPECT_THAT(error_of("a: 1\n---\nb: [\n---\n"), HasSubstr("f.yaml:4"));
  EXPECT_THAT(error_of("a: {{ .Values.x }}\n"), HasSubstr("helm template"));
  EXPECT_THAT(error_of("- 1\n- 2\n"), HasSubstr("no map"));
  EXPECT_THAT(error_of("vllm serve 'm\n", "f.sh"), HasSubstr("f.sh:1"));
  std::string many;
  for (int i = 0; i < 300; ++i) many += "---\na: 1\n";
  EXPECT_THAT(error_of(many), HasSubstr("more than 256 documents"));
  EXPECT_THAT(error_of(std::string((1 << 20) + 1, ' ')), HasSubstr("larger than"));
}

TEST(ReadDeployment, EveryBeginningOfAManifestIsReadOrRefused) {
  for (size_t n = 0; n <= kManifest.size(); n += 17)
    (void)read_deployment(kManifest.substr(0, n), "m.yaml");
}

}  // namespace
}  // namespace weir::ops
