// The replicas of a simulated fleet, who gets which request, and what becomes of it when replicas
// fail, start and stop. Internal to ops/.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "ops/plan/sim_replica.h"
#include "ops/plan/simulate.h"

namespace weir::ops {

// Borrowed: all arguments, until run() has returned. Precondition: simulate() checked them.
class FleetSim {
 public:
  FleetSim(std::span<const SimRequest> requests, const SimFleet& fleet, const StepTime& time,
           SimOutcome& out);
  // To the last token; once.
  void run();

 private:
  enum class State : uint8_t {
    kOff,
    kStarting,
    kUp,
    kEmptying,  // takes nothing new, ends what it has
    kDown,      // failed, comes back
  };
  struct Member {
    State state = State::kOff;
    double since_s = 0;  // kStarting, kDown: until when
  };

  // The next thing that happens apart from arrivals; infinity: nothing.
  double next_change_s() const;
  void change(double now_s);
  void advance(double until_s);
  void settle(double now_s);
  void fail(const SimFailure& failure);
  void decide(double now_s);
  void resize(int32_t wanted, double now_s);
  void give_backlog(double now_s);
  void arrive(size_t request, double now_s);
  size_t choose(const SimRequest& r);
  bool any_up() const;
  int32_t paid() const;
  void note_scale(double now_s);
  bool busy() const;
  void finish();

  std::span<const SimRequest> requests_;
  const SimFleet& fleet_;
  SimOutcome& out_;
  std::vector<ReplicaSim> replicas_;
  std::vector<Member> members_;
  size_t next_failure_ = 0;
  double next_decision_s_;
  size_t turn_ = 0;  // round robin
  struct Homeless {
    ReplicaSim::Lost lost;
    double since_s = 0;
  };
  std::deque<Homeless> backlog_;  // what came while no replica was up, oldest first
  struct Wish {
    double at_s = 0;
    int32_t replicas = 0;
  };
  std::deque<Wish> wishes_;  // of the last calm_s
  double scale_since_s_ = 0;
};

}  // namespace weir::ops
