#include "cli/intake_sources.h"

#include <filesystem>
#include <optional>
#include <vector>

#include "checkpoint/open.h"
#include "cli/intake_trace.h"
#include "cli/model_path.h"
#include "config/key.h"
#include "model/config.h"
#include "ops/data/models.h"
#include "ops/intake/read_model.h"
#include "os/file.h"

namespace weir::cli {
namespace {

Result<FoundModel> from_config(const std::string& path) {
  WEIR_ASSIGN(ops::ModelShape shape, ops::read_model_shape_file(path));
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  std::error_code error;
  FoundModel found;
  found.shape = std::move(shape);
  found.source = found.evidence = path;
  if (std::filesystem::exists(folder / "tokenizer.json", error)) found.tokenizer = "tokenizer.json";
  found.name = found.shape.name.empty() ? folder.filename().string() : found.shape.name;
  return found;
}

// What most of the bytes of the file are in.
std::string precision_of(double bits) {
  if (bits > 17) return "f32";
  if (bits > 9) return "f16";
  if (bits > 7) return "int8";
  if (bits > 5.9) return "fp6";
  return bits > 3.6 ? "int4" : bits > 2.6 ? "int3" : "int2";
}

Result<FoundModel> from_gguf(const std::string& path) {
  WEIR_ASSIGN(const checkpoint::OpenedModel model, checkpoint::open_model(path));
  WEIR_ASSIGN(const model::Config config, model::read_config(model.file));
  double weights = 0, bytes = 0;
  for (const gguf::Tensor& t : model.file.tensors()) {
    weights += static_cast<double>(t.elements());
    bytes += static_cast<double>(t.data.size());
  }
  FoundModel found;
  found.shape = ops::model_shape(config, weights, weights > 0 ? bytes * 8 / weights : 0);
  found.shape.precision = precision_of(found.shape.bits_per_weight);
  const gguf::Value* tokenizer = model.file.find("tokenizer.ggml.pre");
  const auto pre = tokenizer == nullptr ? std::nullopt : tokenizer->as_string();
  found.tokenizer = std::string(pre.value_or(""));
  found.name = model_name(path);
  found.source = found.evidence = path;
  return found;
}

// nullopt: weir knows none of that id or name. ids: of those that it knows.
Result<std::optional<FoundModel>> from_list(const std::string& model,
                                            std::vector<std::string>& ids) {
  WEIR_ASSIGN(const auto known, ops::built_in_models());
  for (const ops::KnownModel& m : known) {
    ids.push_back(m.id);
    if (m.id != model && m.name != model) continue;
    FoundModel found;
    WEIR_ASSIGN(found.shape, ops::shape_of(m));
    found.name = m.name;
    found.source = m.id;
    found.evidence = m.config_url;
    found.published = true;
    return std::optional(std::move(found));
  }
  return std::optional<FoundModel>();
}

}  // namespace

Result<FoundModel> find_model(const std::string& model) {
  std::error_code error;
  const std::filesystem::path path(model);
  if (path.extension() == ".json") return from_config(model);
  if (std::filesystem::exists(path / "config.json", error))
    return from_config((path / "config.json").string());
  const auto file = resolve_model(model);
  const bool found = file.ok() && !std::filesystem::is_directory(*file, error);
  if (found) return from_gguf(*file);
  if (!file.ok() && file.error().code != ErrorCode::kNotFound) return file.error();
  std::vector<std::string> ids;
  WEIR_ASSIGN(std::optional<FoundModel> listed, from_list(model, ids));
  if (listed) return std::move(*listed);
  if (file.ok()) return from_gguf(*file);  // which says what is not in the folder
  return make_error(ErrorCode::kNotFound,
                    "{}; of the published models that weir knows the nearest id is {} (weir plan "
                    "--models lists them)",
                    file.error().message, config::nearest(model, ids));
}

void add_source_options(CLI::App* command, IntakeSources& sources) {
  command->add_option("--model", sources.model,
                      "read a model: a published model's id (weir plan --models), a GGUF file, a "
                      "Hugging Face folder, a config.json");
  add_host_options(command, sources.host);
  add_config_source(command, sources.config);
  command->add_option(
      "--trace", sources.trace,
      "read requests: CSV as Azure's and BurstGPT's traces, JSON lines as Mooncake's");
  CLI::Option* metrics = command->add_option(
      "--metrics", sources.metrics.url,
      "read a running server: http://host:port of vLLM, SGLang, TensorRT-LLM, llama.cpp or weir");
  command
      ->add_option("--window", sources.metrics.window,
                   "scrape it twice, this far apart, for rates: 10s")
      ->needs(metrics);
}

Result<ops::Intake> read_model_source(const std::string& model) {
  WEIR_ASSIGN(const FoundModel found, find_model(model));
  return ops::intake_of_model(found.shape, found.name, found.tokenizer, found.source,
                              found.evidence);
}

Result<ops::Intake> read_sources(const IntakeSources& sources, const ops::Project& project) {
  ops::Intake all;
  if (!sources.model.empty()) {
    WEIR_ASSIGN(const ops::Intake found, read_model_source(sources.model));
    all.merge(found);
  }
  WEIR_ASSIGN(const ops::Intake host, read_host_source(sources.host, sources.model));
  all.merge(host);
  WEIR_TRY(read_config_source(sources.config, all));
  if (!sources.metrics.url.empty()) {
    WEIR_ASSIGN(const ops::Intake found, read_metrics_source(sources.metrics));
    all.merge(found);
  }
  if (!sources.trace.empty()) {
    WEIR_ASSIGN(const ops::Intake found, read_trace_source(sources.trace, project));
    all.merge(found);
  }
  return all;
}

}  // namespace weir::cli
