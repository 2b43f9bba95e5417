#include "telemetry/trace_ring.h"

#include <algorithm>
#include <utility>

namespace weir::telemetry {

const std::array<const char*, kTracePhases> kTracePhaseNames = {"plan", "reserve", "forward",
                                                                "sample", "deliver"};

namespace {
int64_t end_of(const StepTrace& s) { return s.end_ns; }
int64_t end_of(const RequestTrace& r) { return r.ended_ns; }
}  // namespace

template <typename T>
void TraceRing::Ring<T>::push(T value) {
  if (slots.size() < capacity) {
    slots.push_back(std::move(value));
  } else {
    slots[next % capacity] = std::move(value);
  }
  ++next;
}

TraceRing::TraceRing(size_t steps, size_t parts, size_t requests) {
  steps_.capacity = steps;
  parts_.capacity = parts;
  requests_.capacity = requests;
}

void TraceRing::add_step(StepTrace step, std::span<const PartTrace> parts) {
  MutexLock lock(mutex_);
  step.first_part = parts_.next;
  step.parts = static_cast<uint32_t>(parts.size());
  for (const PartTrace& p : parts) parts_.push(p);
  steps_.push(step);
}

void TraceRing::add_request(RequestTrace request) {
  MutexLock lock(mutex_);
  requests_.push(std::move(request));
}

// From the newest back, in slices; what is overwritten meanwhile is left out.
template <typename T>
std::vector<T> TraceRing::newest(const Ring<T>& ring, int64_t from_ns) const {
  std::vector<T> found;
  uint64_t end = UINT64_MAX;
  for (bool more = true; more;) {
    MutexLock lock(mutex_);
    end = std::min(end, ring.next);
    const uint64_t oldest = ring.oldest();
    size_t copied = 0;
    while (end > oldest && copied < kSlice && end_of(ring.at(end - 1)) >= from_ns) {
      found.push_back(ring.at(--end));
      ++copied;
    }
    more = copied == kSlice;
  }
  std::reverse(found.begin(), found.end());
  return found;
}

void TraceRing::copy_parts(TraceSnapshot& snapshot) const {
  for (size_t done = 0; done < snapshot.steps.size();) {
    MutexLock lock(mutex_);
    const uint64_t oldest = parts_.oldest();
    for (size_t n = 0; n < kSlice && done < snapshot.steps.size(); ++n, ++done) {
      StepTrace& s = snapshot.steps[done];
      const uint64_t first = std::exchange(s.first_part, snapshot.parts.size());
      if (first < oldest) s.parts = 0;
      for (uint64_t i = 0; i < s.parts; ++i) snapshot.parts.push_back(parts_.at(first + i));
    }
  }
}

TraceSnapshot TraceRing::since(int64_t from_ns) const {
  TraceSnapshot snapshot;
  snapshot.steps = newest(steps_, from_ns);
  copy_parts(snapshot);
  snapshot.requests = newest(requests_, from_ns);
  return snapshot;
}

}  // namespace weir::telemetry
