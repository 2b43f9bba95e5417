// What a planner needs to know of accelerators and CPUs: data/accelerators.yaml, whose head says
// what each figure means and how it is dated. Rates are peaks without sparsity.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace weir::ops {

// A page that figures of one entry come from.
struct AcceleratorSource {
  std::string id;  // within the entry: "datasheet"
  std::string title;
  std::string url;
  std::string publisher;
  bool primary = false;   // the vendor's own
  bool verified = false;  // its figures were read in a stored copy of it, not only known from it
  std::string accessed;   // "2026-11-29", the day of the look-up
};

struct Figure {
  double value = 0;
  std::string source;     // an AcceleratorSource's id
  std::string note;       // how it was computed or under which condition it holds; often empty
  bool verified = false;  // its source's
};

enum class AcceleratorKind { kDatacenter, kConsumer, kEdge, kCpu };

// Fast links between devices, beside PCIe.
struct AcceleratorLinks {
  std::string kind;  // "NVLink 4"
  Figure gb_per_s;   // of one device, one direction
  Figure domain;     // devices that the links join
};
struct AcceleratorPcie {
  int generation = 0;
  int lanes = 0;
  std::string source;
  bool verified = false;
};
// Rental per device and hour.
struct AcceleratorPrice {
  double low_usd = 0;
  double high_usd = 0;
  std::string date;
  std::string source;
  std::string note;
};

struct Accelerator {
  // Of their own, so that every compiler can make them before this one is whole.
  using Interconnect = AcceleratorLinks;
  using Pcie = AcceleratorPcie;
  using Price = AcceleratorPrice;

  std::string id;  // "nvidia-h100-sxm"
  std::string name;
  std::string vendor;
  AcceleratorKind kind = AcceleratorKind::kDatacenter;
  std::string architecture;
  std::string released;               // "2022-10"
  std::vector<std::string> reported;  // what drivers and /proc/cpuinfo call it
  std::vector<AcceleratorSource> sources;

  std::optional<Figure> memory_gb;  // decimal; none for a CPU, whose owner fits it
  Figure bandwidth_gb_per_s;        // of its memory
  std::vector<std::pair<std::string, Figure>> dense_tflops;  // by type: fp32 bf16 fp16 fp8 fp4
                                                             // (TFLOPS), int8 int4 (TOPS)
  std::optional<Interconnect> interconnect;
  std::optional<Pcie> pcie;
  std::optional<Figure> power_w;
  std::optional<Price> price_usd_per_hour;
  std::optional<Figure> cores;  // of a CPU, as base_ghz and isa
  std::optional<Figure> base_ghz;
  std::vector<std::string> isa;
  std::vector<std::string> notes;

  // nullptr where the type is not supported or not published.
  const Figure* tflops(std::string_view type) const;
  const AcceleratorSource* source(std::string_view source_id) const;
};

// The id of the accelerator that stands for the machine weir runs on; its figures are measured.
inline constexpr std::string_view kThisMachine = "this-machine";

struct Accelerators {
  std::string checked;           // the day the file was gone through
  std::vector<Accelerator> all;  // ids are unique

  const Accelerator* find(std::string_view id) const;
  // By what a driver reports ("NVIDIA H100 80GB HBM3"), /proc/cpuinfo's model name or a device
  // tree's model; case and a leading "NVIDIA " do not count, nor a revision (" Rev 1.0") behind.
  // nullptr when none is called so, or several are.
  const Accelerator* find_reported(std::string_view name) const;
};

// name: of the file, for errors. Error kCorrupt: "NAME:LINE: ..."; unknown keys, values out of
// range, figures without a source of their entry and ids given twice are refused.
Result<Accelerators> parse_accelerators(std::string_view text, std::string_view name);

// What the program was built with. Parses some 130 KB at each call: keep the result.
Result<Accelerators> load_accelerators();

}  // namespace weir::ops
