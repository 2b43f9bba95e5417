// The commands of the gateway and of the ops loop, for main.cc. Apart from command.h, which every
// command includes: a new one here recompiles nothing else.
#pragma once

#include "cli/command.h"

namespace weir::cli {

void add_gateway(CLI::App& root, Selected& selected);
void add_cache(CLI::App& root, Selected& selected);
void add_advise(CLI::App& root, Selected& selected);
void add_plan(CLI::App& root, Selected& selected);
void add_doctor(CLI::App& root, Selected& selected);
void add_sources(CLI::App& root, Selected& selected);
void add_brief(CLI::App& sources, Selected& selected);
void add_cost(CLI::App& root, Selected& selected);
void add_cost_ledger(CLI::App& cost, Selected& selected);
void add_review(CLI::App& root, Selected& selected);
void add_promote(CLI::App& root, Selected& selected);
void add_rollback(CLI::App& root, Selected& selected);
void add_rollout(CLI::App& root, Selected& selected);
void add_route(CLI::App& root, Selected& selected);
void add_log(CLI::App& root, Selected& selected);
void add_skill(CLI::App& root, Selected& selected);
void add_mcp(CLI::App& root, Selected& selected);

}  // namespace weir::cli
