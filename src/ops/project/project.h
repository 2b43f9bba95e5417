// A project folder: plain files that the ops loop reads and writes, so that git holds the history.
//
//   intake.yaml          what is known of the deployment (ops/intake/intake.h)
//   envs/dev|stage|prod/ configuration of each environment
//   evidence/            results of evaluations, benchmarks, briefs
//   releases/            bundles that were promoted, and the audit log
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace weir::ops {

inline constexpr const char* kEnvironments[] = {"dev", "stage", "prod"};

class Project {
 public:
  // Makes what is missing of a project in `folder`; files that are there stay. Errors: kIo naming
  // the path; kUsage when `folder` is a file.
  static Result<Project> init(const std::string& folder);
  // Error kNotFound when `folder` has no intake.yaml, with the command that makes one.
  static Result<Project> open(const std::string& folder);

  std::string intake() const { return path("intake.yaml"); }
  std::string environment(const std::string& name) const { return path("envs/" + name); }
  std::string evidence() const { return path("evidence"); }
  std::string releases() const { return path("releases"); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  const std::string& folder() const { return folder_; }
  // What init() made, relative to the folder.
  const std::vector<std::string>& made() const { return made_; }

 private:
  explicit Project(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
  std::vector<std::string> made_;
};

}  // namespace weir::ops
