#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <exception>
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

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    return Counter(&family.Add(labels));
  });
}

Gauge Registry::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry);
    return Gauge(&family.Add(labels));
  });
}

Histogram Registry::histogram(const std::string& name, const std::string& help,
                              const std::vector<double>& buckets, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(impl_->registry);
    return Histogram(&family.Add(labels, prometheus::Histogram::BucketBoundaries(buckets)));
  });
}

CounterFamily Registry::counter_family(const std::string& name, const std::string& help,
                                       const std::string& label, const Labels& labels) {
  return impl_->guarded(name, [&] {
    auto impl = std::make_unique<CounterFamily::Impl>();
    // Constant labels of a Prometheus family can be given once for its name; these may differ.
    impl->family = &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry);
    impl->label = label;
    impl->labels = labels;
    return CounterFamily(std::move(impl));
  });
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
