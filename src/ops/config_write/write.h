// weir config TARGET: a plan as files of the target's own format, for one environment over a base
// that all share. Nothing is written to disk here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ops/config_write/config_line.h"
#include "ops/config_write/engine_config.h"
#include "ops/config_write/environment.h"

namespace weir::ops {

struct WriteRequest {
  std::string target = {};       // of config_targets()
  std::string environment = {};  // "dev", "stage", "prod"
  std::string engine = {};       // behind kubernetes, nginx, ...; empty: vllm
  std::string engine_version =
      {};  // empty: the newest snapshot; one there is no snapshot of: an error
  std::string model_source = {};  // in place of the plan's: where the quantized checkpoint is
  bool optimistic = false;        // prod may be written from the plan's optimistic end
  std::string image = {};         // of the engine, with a version; empty: the release's own
  std::string proxy_image = {};   // llm-d's routing sidecar, which plans with disaggregation need
  int devices_per_node = 8;
  std::vector<std::string> regions = {};  // prod in several, each for a share of the load
  std::vector<std::string> backends =
      {};  // "host:port" behind nginx and haproxy, scraped by prometheus
};

struct WrittenConfig {
  std::string target, environment, engine, version;
  std::vector<WrittenFile> files;
  std::vector<EnvironmentDifference> differences;
  std::vector<std::string> left_out;
  std::vector<std::string> notes;  // what is to be done or known before it is used
};

// "vllm", "sglang", ..., in the order of the help.
const std::vector<std::string>& config_targets();

// Errors: kUsage for a target, engine, version or environment that there is none of, an image
// without a version; kUnsupported for a plan that cannot be written (environment_values), or that
// the engine's version cannot do, prod from a plan whose pessimistic end meets its SLO with no
// number of replicas and `optimistic` not set.
Result<WrittenConfig> write_config(const PlanFile& plan, const WriteRequest& request);

// What dev, stage and prod have otherwise than the base, one after the other. The same errors.
Result<std::vector<WrittenConfig>> write_environments(const PlanFile& plan, WriteRequest request);

// Parts of it, each in its own file; write_config() has checked the plan.
struct WriteContext {
  const PlanFile* plan = nullptr;
  const WriteRequest* request = nullptr;
  EnvironmentValues base, environment;
  const EngineProfile* profile = nullptr;  // of the engine that serves
  EngineSnapshot snapshot;                 // of that engine; of dynamo and llm-d their own
  int nodes = 1;

  EngineRequest engine_request(const EnvironmentValues& values, bool container) const {
    return {plan, &values, &snapshot, container, nodes};
  }
  std::string path(std::string_view file) const {
    return environment.name + "/" + request->target + "/" + std::string(file);
  }
};
Status write_engine(const WriteContext& context,
                    WrittenConfig& out);  // vllm sglang llamacpp trtllm
Status write_deepspeed(const WriteContext& context, WrittenConfig& out);
Status write_dynamo(const WriteContext& context, WrittenConfig& out);
Status write_llm_d(const WriteContext& context, WrittenConfig& out);
Status write_weir(const WriteContext& context, WrittenConfig& out);
Status write_kubernetes(const WriteContext& context, WrittenConfig& out);
Status write_nginx(const WriteContext& context, WrittenConfig& out);
Status write_haproxy(const WriteContext& context, WrittenConfig& out);
Status write_prometheus(const WriteContext& context, WrittenConfig& out);
Status write_grafana(const WriteContext& context, WrittenConfig& out);

// "# Written by weir config ...": what a file begins with.
std::string file_head(const WriteContext& context, std::string_view mark = "#");
// The same for what is under every environment.
std::string base_head(const WriteContext& context);
// "host:port" of the replicas: those asked for, else one after the other on this machine.
std::vector<std::string> backend_addresses(const WriteContext& context);
// Error kUsage, naming the option: an image without a version or digest.
Status check_image(const std::string& image, std::string_view option);
// The image and its version. Errors: kUsage for one without, or where none is published and none
// given.
Result<std::string> engine_image(const WriteContext& context);

}  // namespace weir::ops
