#include "ops/project/own_files.h"

namespace weir::ops {

std::vector<std::string> own_files(const std::string& folder) {
  constexpr const char* kNames[] = {"intake.yaml",
                                    "waivers.yaml",
                                    "sources.json",
                                    "release.pub",
                                    "evidence/briefs.json",
                                    "envs/dev/model.json",
                                    "envs/stage/model.json",
                                    "envs/prod/model.json",
                                    "envs/dev/release.json",
                                    "envs/stage/release.json",
                                    "envs/prod/release.json",
                                    "releases/audit.db",
                                    "releases/audit.head"};
  std::vector<std::string> out;
  out.reserve(std::size(kNames));
  for (const char* name : kNames) out.push_back(folder + "/" + name);
  return out;
}

}  // namespace weir::ops
