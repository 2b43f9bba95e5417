#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <exception>
#include <set>
#include <sstream>
#include <utility>

#include "base/thread_annotations.h"

namespace weir::telemetry {

void Counter::add(double amount) const {
  if (counter_ != nullptr && amount >= 0) counter_->Increment(amount);
}
double Counter::value() const { return counter_ != nullptr ? counter_->Value() : 0.0; }

void Gauge::set(double value) const {
  if (gauge_ != nullptr) gauge_->Set(value);
}
void Gauge::add(double amount) const {
  if (gauge_ != nullptr) gauge_->Increment(amount);  // prometheus-cpp takes negative ones here
}
double Gauge::value() const { return gauge_ != nullptr ? gauge_->Value() : 0.0; }

void Histogram::observe(double value) const {
  if (histogram_ != nullptr) histogram_->Observe(value);
}
uint64_t Histogram::count() const {
  return histogram_ != nullptr ? histogram_->Collect().histogram.sample_count : 0;
}
double Histogram::sum() const {
  return histogram_ != nullptr ? histogram_->Collect().histogram.sample_sum : 0.0;
}

struct CounterFamily::Impl {
  prometheus::Family<prometheus::Counter>* family = nullptr;
  std::string label;
  Labels labels;  // of every counter beside that one
  Mutex mutex;
  std::map<std::string, prometheus::Counter*, std::less<>> known WEIR_GUARDED_BY(mutex);
};

CounterFamily::CounterFamily() = default;
CounterFamily::CounterFamily(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CounterFamily::~CounterFamily() = default;
CounterFamily::CounterFamily(CounterFamily&&) noexcept = default;
CounterFamily& CounterFamily::operator=(CounterFamily&&) noexcept = default;

Counter CounterFamily::with(std::string_view label_value) const {
  if (!impl_) return {};
  MutexLock lock(impl_->mutex);
  const auto found = impl_->known.find(label_value);
  if (found != impl_->known.end()) return Counter(found->second);
  const bool full = impl_->known.size() >= kMaxLabelValues;
  const std::string value(full ? std::string_view("other") : label_value);
  try {
    Labels labels = impl_->labels;
    labels[impl_->label] = value;
    prometheus::Counter* counter = &impl_->family->Add(labels);
    if (!full) impl_->known.emplace(value, counter);
    return Counter(counter);
  } catch (const std::exception&) {  // out of memory: a metric is not worth a request
    return {};
  }
}

struct Registry::Impl {
  // Merge: asking twice for a family gives the one that is there.
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  mutable Mutex mutex;
  std::vector<std::string> failures WEIR_GUARDED_BY(mutex);
  // Those that there are, as they live with the registry; it lists none itself.
  std::set<prometheus::Family<prometheus::Counter>*> counters WEIR_GUARDED_BY(mutex);
  std::set<prometheus::Family<prometheus::Gauge>*> gauges WEIR_GUARDED_BY(mutex);
  std::set<prometheus::Family<prometheus::Histogram>*> histograms WEIR_GUARDED_BY(mutex);

  void remember(prometheus::Family<prometheus::Counter>& family) WEIR_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    counters.insert(&family);
  }
  void remember(prometheus::Family<prometheus::Gauge>& family) WEIR_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    gauges.insert(&family);
  }
  void remember(prometheus::Family<prometheus::Histogram>& family) WEIR_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    histograms.insert(&family);
  }

  // Runs make, which registers `name`; remembers the name if Prometheus refuses it.
  template <typename Make>
  auto guarded(const std::string& name, Make make) -> decltype(make()) {
    try {
      return make();
    } catch (const std::exception&) {
      MutexLock lock(mutex);
      failures.push_back(name);
      return {};
    }
  }
};

namespace {

// made: what a metric of that kind is made with.
template <typename Metric, typename... Made>
void remove_from(prometheus::Family<Metric>& family, const std::string& label,
                 const std::string& value, const Made&... made) {
  for (const prometheus::MetricFamily& all : family.Collect()) {
    for (const prometheus::ClientMetric& one : all.metric) {
      Labels labels;
      for (const auto& l : one.label) labels[l.name] = l.value;
      const auto found = labels.find(label);
      if (found == labels.end() || found->second != value) continue;
      family.Remove(&family.Add(labels, made...));  // which gives the one that is there
    }
  }
}

}  // namespace

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    impl_->remember(family);
    return Counter(&family.Add(labels));
  });
}

Gauge Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
    impl_->remember(family);
    return Gauge(&family.Add(labels));
  });
}

Histogram Registry::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& buckets, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    impl_->remember(family);
    return Histogram(&family.Add(labels, prometheus::Histogram::BucketBoundaries(buckets)));
  });
}

CounterFamily Registry::counter_family(const std::string& name, const std::string& help,
                                       const std::string& label, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto impl = std::make_unique<CounterFamily::Impl>();
    // Constant labels of a Prometheus family can be given once for its name; these may differ.
    impl->family = &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    impl_->remember(*impl->family);
    impl->label = label;
    impl->labels = labels;
    return CounterFamily(std::move(impl));
  });
}

void Registry::remove(const std::string& label, const std::string& value) {
  MutexLock lock(impl_->mutex);
  for (auto* family : impl_->counters) remove_from(*family, label, value);
  for (auto* family : impl_->gauges) remove_from(*family, label, value);
  for (auto* family : impl_->histograms)
    remove_from(*family, label, value, prometheus::Histogram::BucketBoundaries{});
}

std::string Registry::exposition() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, impl_->registry.Collect());
  return std::move(out).str();
}

std::vector<HistogramSnapshot> Registry::histograms(const std::string& name) const {
  std::vector<HistogramSnapshot> found;
  for (const prometheus::MetricFamily& family : impl_->registry.Collect()) {
    if (family.name != name || family.type != prometheus::MetricType::Histogram) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      HistogramSnapshot h;
      for (const auto& label : metric.label) h.labels[label.name] = label.value;
      h.help = family.help;
      h.count = metric.histogram.sample_count;
      h.sum = metric.histogram.sample_sum;
      uint64_t below = 0;
      for (const auto& bucket : metric.histogram.bucket) {
        if (std::isfinite(bucket.upper_bound)) h.bounds.push_back(bucket.upper_bound);
        h.buckets.push_back(bucket.cumulative_count - below);
        below = bucket.cumulative_count;
      }
      found.push_back(std::move(h));
    }
  }
  return found;
}

std::vector<std::string> Registry::failures() const {
  MutexLock lock(impl_->mutex);
  return impl_->failures;
}

}  // namespace weir::telemetry
