#include "ops/review/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "gguf/file.h"
#include "os/file.h"
#include "text/ascii_lower.h"
#include "text/json.h"

namespace weir::ops {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 4 << 20;

std::string base_name(std::string_view text) {
  while (text.ends_with('/')) text.remove_suffix(1);
  std::string out = text::ascii_lower(text.substr(text.rfind('/') + 1));
  if (out.ends_with(".gguf")) out.resize(out.size() - 5);
  return out;
}

// "ORG/NAME", of llama.cpp also "ORG/NAME:Q4_K_M".
bool is_repository(std::string_view text) {
  return text.find('/') != std::string_view::npos && text.front() != '/' && text.front() != '.' &&
         text.front() != '~';
}

std::string commit_of(const ReleaseModel& model) {
  return model.bytes == 0 ? model.where.substr(model.where.rfind('@') + 1) : "";
}

// What is wrong with one engine's model; "" for nothing.
std::string problem_of(const EngineUse& use, const Fact& served, const ReleaseModel& model,
                       const fs::path& reviewed) {
  const auto at = [&](std::string_view what) {
    return fmt::format("{}:{}: serves {}{}", use.file, served.line, served.text, what);
  };
  const std::string other = fmt::format(", but the model that is reviewed is {}",
                                        model.bytes == 0 ? model.name : model.where);
  std::error_code error;
  if (fs::exists(served.text, error)) {
    const bool here = fs::exists(reviewed, error);
    const bool same = here ? fs::equivalent(served.text, reviewed, error)
                           : same_model_name(served.text, model.name);
    return same ? "" : at(other);
  }
  if (!is_repository(served.text)) return "";
  const std::string repository = served.text.substr(0, served.text.find(':'));
  if (!same_model_name(repository, model.name)) return at(other);
  const std::string commit = commit_of(model);
  const std::string& engine = use.call.engine;
  const bool pins = engine == "vllm" || engine == "sglang" || engine == "tgi";
  const Fact* revision = use.call.facts.find("revision");
  if (commit.empty() || !pins || (revision != nullptr && revision->text == commit)) return "";
  return at(fmt::format(", and what it fetches may be another commit: --revision {}", commit));
}

std::string quantized_gguf(const std::string& path) {
  const auto file = gguf::File::open(path);
  if (!file.ok()) return "";
  std::map<std::string, uint64_t> bytes;  // of matrices, by type
  for (const gguf::Tensor& t : file->tensors()) {
    if (t.shape.size() > 1) bytes[std::string(gguf::type_name(t.type))] += t.data.size();
  }
  std::string most;
  for (const auto& [type, count] : bytes) {
    const bool index = type.size() > 1 && type[0] == 'I' && type[1] >= '0' && type[1] <= '9';
    const bool whole = index || type == "F32" || type == "F16" || type == "BF16" || type == "F64";
    if (!whole && (most.empty() || count > bytes[most])) most = type;
  }
  return most;
}

std::string quantized_folder(const std::string& folder) {
  const auto text = os::read_file(folder + "/config.json", kMaxConfigBytes);
  const auto json = text.ok() ? text::Json::parse(*text) : Result<text::Json>(text.error());
  const text::Json* how = json.ok() ? json->find("quantization_config") : nullptr;
  if (how == nullptr || how->is_null()) return "";
  const text::Json* method = how->find("quant_method");
  return method != nullptr && method->is_string() ? method->as_string() : "quantization_config";
}

}  // namespace

bool same_model_name(std::string_view a, std::string_view b) {
  return base_name(a) == base_name(b);
}

std::vector<std::string> served_names(const EngineUse& use) {
  const FactSet& facts = use.call.facts;
  const Fact* name = facts.find(use.call.engine == "weir" ? "name" : "served_name");
  if (name == nullptr) name = facts.find("model");
  // A chart's engine may be given a name among its arguments.
  const bool unknown = name == nullptr || !name->given || name->text.empty() ||
                       name->text.find('$') != std::string::npos || use.call.engine == "llm-d";
  std::vector<std::string> out;
  if (unknown) return out;
  std::string_view rest = name->text;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    out.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return out;
}

std::string other_model(const EnvConfig& config, const ReleaseModel& model,
                        const std::string& folder) {
  const fs::path reviewed = fs::path(folder) / model.where;
  for (const EngineUse& use : config.engines) {
    const Fact* served = use.call.facts.find("model");
    if (served == nullptr || !served->given || served->text.empty() ||
        served->text.find('$') != std::string::npos)
      continue;
    if (std::string problem = problem_of(use, *served, model, reviewed); !problem.empty())
      return problem;
  }
  return "";
}

std::string quantized_to(const ReleaseModel& model, const std::string& folder) {
  if (model.bytes == 0) return "";
  const std::string path = (fs::path(folder) / model.where).string();
  std::error_code error;
  return fs::is_directory(path, error) ? quantized_folder(path) : quantized_gguf(path);
}

}  // namespace weir::ops
