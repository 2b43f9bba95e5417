// Prometheus metrics over prometheus-cpp core. A Registry is made once and passed in; nothing is
// global. Handles (Counter, Gauge, Histogram) are pointers into the registry: cheap to copy, usable
// from any thread without a lock, valid as long as the registry lives; a default-made handle does
// nothing. The names of weir are in telemetry/engine_metrics.h and telemetry/http_metrics.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace weir::telemetry {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  Counter() = default;
  // amount >= 0; a negative one is ignored.
  void add(double amount = 1.0) const;
  double value() const;

 private:
  friend class Registry;
  friend class CounterFamily;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  void set(double value) const;
  void add(double amount) const;
  double value() const;

 private:
  friend class Registry;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  void observe(double value) const;
  uint64_t count() const;
  double sum() const;

 private:
  friend class Registry;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  prometheus::Histogram* histogram_ = nullptr;
};

// A counter with one label whose values appear at run time. At most kMaxLabelValues different
// values are kept, later ones count as "other": outside input cannot grow the registry.
class CounterFamily {
 public:
  static constexpr size_t kMaxLabelValues = 64;
  CounterFamily();
  ~CounterFamily();
  CounterFamily(CounterFamily&&) noexcept;
  CounterFamily& operator=(CounterFamily&&) noexcept;
  // Any thread; takes a short lock.
  Counter with(std::string_view label_value) const;

 private:
  friend class Registry;
  struct Impl;
  explicit CounterFamily(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a histogram holds at one moment.
struct HistogramSnapshot {
  Labels labels;
  std::string help;
  uint64_t count = 0;
  double sum = 0;
  std::vector<double> bounds;     // upper bounds, without the infinite one
  std::vector<uint64_t> buckets;  // one more than bounds; each its own, not a running total
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The metric of that name and labels, made on first use. A name or label Prometheus does not
  // permit, or a name already used with another kind, gives a handle that does nothing and is
  // remembered in failures().
  Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // buckets: ascending upper bounds; +Inf is added.
  Histogram histogram(const std::string& name, const std::string& help,
                      const std::vector<double>& buckets, const Labels& labels = {});
  CounterFamily counter_family(const std::string& name, const std::string& help,
                               const std::string& label, const Labels& labels = {});

  // Takes out every series of every name that has this label with this value. Any thread. Handles
  // of these are of no more use, and no CounterFamily that made one may be: let them go first.
  void remove(const std::string& label, const std::string& value);

  // The text exposition format, version 0.0.4. Any thread.
  std::string exposition() const;
  static constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

  // The histograms of that name, one for each set of labels. Any thread.
  std::vector<HistogramSnapshot> histograms(const std::string& name) const;

  // Names that could not be registered: a bug of ours; tests check that it is empty.
  std::vector<std::string> failures() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::telemetry
