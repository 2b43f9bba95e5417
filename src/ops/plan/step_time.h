// What one step of an engine takes, as the simulator asks it: measured, or computed from a device.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "engine/cost_model.h"
#include "ops/plan/model_shape.h"

namespace weir::ops {

class StepTime {
 public:
  virtual ~StepTime() = default;
  // Of some work; any thread.
  virtual double ms(const engine::StepWork& work) const = 0;
  // Measured over predicted time of steps, ascending, equally likely, with the mean 1: what of a
  // step's time its work does not explain. Empty: nothing is known of it.
  virtual std::span<const double> spread() const { return {}; }

 protected:
  StepTime() = default;
  StepTime(const StepTime&) = default;
  StepTime& operator=(const StepTime&) = default;
};

// The cost model that weir's engine fits to itself (weir bench engine --calibrate), or a fit of
// another engine's steps. by_tokens[b] is what steps of [2^(b-1), 2^b) tokens took of what the
// costs say, the last one for all above: arithmetic of few tokens is slower than that of many.
class MeasuredStepTime : public StepTime {
 public:
  explicit MeasuredStepTime(const engine::StepCosts& costs, std::vector<double> spread = {},
                            std::vector<double> by_tokens = {})
      : costs_(costs), spread_(std::move(spread)), by_tokens_(std::move(by_tokens)) {}
  double ms(const engine::StepWork& work) const override;
  std::span<const double> spread() const override { return spread_; }

 private:
  engine::StepCosts costs_;
  std::vector<double> spread_;
  std::vector<double> by_tokens_;
};

// The index of a step in by_tokens.
size_t tokens_bucket(const engine::StepWork& work);

// Rates of one device, as published, in units per second.
struct DeviceRates {
  double flops = 0;            // dense, of the type that the weights are multiplied in
  double attention_flops = 0;  // of the type of keys and values
  double bytes = 0;            // of memory
  double link_bytes = 0;       // one direction, between devices that share a layer; 0: one device
  double handed_bytes = 0;     // from one group of layers to the next; 0: one group
};

// Shares of the published rates that an engine reaches. Unfitted they are a hypothesis: a range for
// a planner to run both ends of.
struct Efficiency {
  double compute = 0.5;
  double memory = 0.75;
  double link = 0.7;
  double step_ms = 2.0;         // scheduling, launches, sampling: what no rate explains
  double collective_ms = 0.02;  // latency of one all-reduce
};

// How the devices of a replica divide the model; each at least 1.
struct Split {
  int tensor = 1;    // devices that share every layer
  int expert = 1;    // of these, groups that hold experts whole; divides tensor
  int pipeline = 1;  // groups of layers, one after the other
};

// Roofline: of each phase the larger of arithmetic and bytes, plus what devices exchange.
//
//   weights: 2 · parameters · tokens FLOP, bytes of the weights that the tokens meet; the output
//     matrix only for decodes and a prompt's last token
//   attention: 4 · heads · head_dim FLOP for each (query, key) pair, bytes of keys and values read,
//     as often as devices hold copies of them; in windows no more than theirs, at the mean length
//     of the step's sequences. Latent attention: prompts expand the latent, decodes work on it
//   states: read and written by each decode
//   tensor: two all-reduces a layer of tokens · hidden · 2 bytes, 2 (N − 1) / N over the link
//   expert: instead of the second one two all-to-alls of tokens · hidden · 2 bytes · experts of a
//     token, (E − 1) / E over the link, each device its part of the tokens; experts equally loaded
//   pipeline: the time of a whole pass through all groups, of one of the `pipeline` batches that
//     are under way at once; each hands tokens · hidden · 2 bytes over
class RooflineStepTime : public StepTime {
 public:
  // kv_bytes: of one number.
  RooflineStepTime(const ModelShape& shape, const DeviceRates& rates, const Split& split,
                   double kv_bytes, const Efficiency& efficiency);
  double ms(const engine::StepWork& work) const override;

 private:
  void attend(const ModelShape& shape, const Split& split, double kv_bytes);
  void exchange(const ModelShape& shape, const Split& split);
  double attention_s(const engine::StepWork& work) const;

  // Of all layers of either kind.
  struct PerPair {
    double full = 0, window = 0;
  };

  double dense_bytes_ = 0, expert_bytes_ = 0;      // of weights, all and of routed experts
  double expert_share_ = 0;                        // of the experts that one token meets
  double flops_per_token_ = 0, output_flops_ = 0;  // the output matrix apart
  PerPair prefill_flops_, decode_flops_, kv_read_;
  double window_ = 0;                     // tokens
  double state_bytes_ = 0;                // of a sequence
  double exchanged_bytes_per_token_ = 0;  // a device's, over its link
  double handed_bytes_per_token_ = 0;
  double collectives_ = 0;
  double flops_ = 0, attention_flops_ = 0, bytes_ = 0, link_ = 0,
         handed_ = 0;  // of all devices together, reached
  double fixed_ms_ = 0, collective_ms_ = 0;
};

}  // namespace weir::ops
