// Who has had how much: the weighted virtual token counter of Sheng et al., "Fairness in Serving
// Large Language Models" (OSDI 2024), and the share of batch requests. Pure; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weir::engine {

enum class Fairness {
  kVtc,   // between tenants by what they have had; within one by priority, then by arrival
  kFifo,  // by priority, then by arrival, whoever asks
};

// The paper's weights: what an output token costs beside an input token.
inline constexpr double kInputWeight = 1.0;
inline constexpr double kOutputWeight = 2.0;

// A tenant with unfinished requests, or one that is remembered.
struct TenantState {
  std::string name;
  double weight = 1.0;      // > 0
  double counter = 0;       // weighted service had, over weight
  int32_t max_running = 0;  // 0: no bound
  int32_t waiting = 0;      // its sequences that wait for prompt tokens to be computed: "in Q"
  int32_t running = 0;      // its sequences that hold pages
  int32_t unfinished = 0;   // its sequences
};

// Counters of tenants. A tenant that comes back from idle is lifted to the lowest counter of those
// that wait (or, when nobody does, to that of the last who did): idle time earns no credit. Between
// two tenants that wait without a pause the service differs, weighted, by at most
// 2 max(input weight · largest input, output weight · tokens of a batch) (the paper's theorem 4.4;
// charging tokens as they are computed puts a step's tokens in place of an input's).
class TenantTable {
 public:
  // Tenants without requests that are remembered. A counter below everybody's says nothing and
  // goes first.
  static constexpr size_t kMaxIdle = 1024;

  // One more unfinished sequence; the newest request decides weight and bounds. The pointer is
  // valid until leave() has matched every enter().
  TenantState* enter(const std::string& name, double weight, int32_t max_running);
  void leave(TenantState* tenant);

  // A sequence of it begins or ends to wait for its prompt to be computed.
  void begin_waiting(TenantState& tenant);
  void end_waiting(TenantState& tenant);

  static void charge(TenantState& tenant, int64_t input_tokens, int64_t output_tokens);

  const std::map<std::string, TenantState>& all() const { return tenants_; }

 private:
  void forget_idle();

  std::map<std::string, TenantState> tenants_;
  size_t idle_ = 0;
  double last_level_ = 0;  // counter of the tenant that ended waiting last
};

// Interactive requests come before batch ones, but not for ever: while both wait, every prompt
// token computed for interactive requests earns batch ones kBatchShare of a token; once that
// makes a chunk, batch goes first until it has had it.
class ClassShare {
 public:
  static constexpr double kBatchShare = 0.1;
  static constexpr double kChunkTokens = 256;

  void served_interactive(int64_t tokens, bool batch_waits);
  void served_batch(int64_t tokens);
  bool batch_first() const { return batch_first_; }

 private:
  double owed_tokens_ = 0;
  bool batch_first_ = false;
};

}  // namespace weir::engine
