#include <algorithm>
#include <numeric>

#include "ops/doctor/read_host.h"
#include "ops/doctor/text.h"

namespace weir::ops {
namespace {

// Interfaces that are no card.
bool is_virtual(std::string_view name) {
  for (const std::string_view prefix : {"lo", "veth", "docker", "br-", "cni", "cali", "flannel"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

// Whether an interrupt's last word names a queue of a network card: the interface's name in it, or
// a driver's way of naming them.
bool is_network(std::string_view word, const std::vector<std::string>& interfaces) {
  for (const std::string& name : interfaces) {
    if (word == name || word.starts_with(name + "-") ||
        word.find("-" + name + "-") != std::string::npos)
      return true;
  }
  const bool virtio = word.starts_with("virtio") && (word.find("-input") != std::string::npos ||
                                                     word.find("-output") != std::string::npos);
  return virtio || word.starts_with("mlx5_comp") || word.starts_with("ena-");
}

}  // namespace

void read_interrupts(HostFiles& files, Machine& out) {
  InterruptFacts& facts = out.interrupts;
  if (const auto it = out.services.find("irqbalance"); it != out.services.end())
    facts.balanced = it->second == "active";
  std::vector<std::string> interfaces;
  for (std::string& name : files.list("sys/class/net")) {
    (void)files.file("sys/class/net/" + name + "/type");
    if (!is_virtual(name)) interfaces.push_back(std::move(name));
  }
  const std::string text = files.file("proc/interrupts").value_or("");
  const auto lines = split_lines(text);
  if (lines.empty()) return;
  const size_t cpus = std::min(split_words(lines[0]).size(), static_cast<size_t>(kMaxCpus));
  std::vector<double> counts(cpus);
  for (size_t i = 1; i < lines.size(); ++i) {
    const auto words = split_words(lines[i]);
    if (words.size() < cpus + 2 || !is_network(words.back(), interfaces)) continue;
    ++facts.network_queues;
    for (size_t c = 0; c < cpus; ++c) counts[c] += number_in<double>(words[c + 1]).value_or(0);
  }
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (total <= 0) return;
  const auto busiest = std::max_element(counts.begin(), counts.end());
  facts.busiest_share = *busiest / total;
  facts.busiest_cpu = static_cast<int>(busiest - counts.begin());
}

}  // namespace weir::ops
