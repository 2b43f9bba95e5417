// Which model types of Hugging Face's config.json become which architecture, and how their tensors
// are named. Sources: the modelling code of package transformers; for the results, the conversion
// of llama.cpp, whose GGUF files hold the same values under the same names. Internal to
// checkpoint/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::checkpoint {

enum class Experts { kNone, kMixtral, kQwen, kDeepseek, kGptOss };

struct Family {
  std::string_view model_type;
  std::string_view architecture;  // general.architecture of the result
  bool permute_qk = false;        // rows of q and k go from halves to pairs (ggml's "norm" RoPE)
  bool shift_norms = false;       // norms multiply by 1 + weight
  bool sandwich = false;          // norms behind attention and feed-forward part, too (or so named)
  bool gelu = false;              // the activation is GELU with tanh, not SiLU
  bool latent = false;            // multi-head latent attention
  bool transposed = false;        // matrices of layers are [in, out]
  bool encoder = false;           // BERT's names, layer norms, exact GELU, WordPiece, pooling
  Experts experts = Experts::kNone;
  std::string_view layer_norm = {};  // field of the epsilon where the mean is removed, too
};

// nullptr when unknown.
const Family* find_family(std::string_view model_type);
// "llama, mistral, ...", for messages.
std::string known_model_types();

// What a tensor that holds all experts has of them; the first of its dimensions are the experts.
enum class Stack {
  kNone,     // it holds one matrix or vector
  kColumns,  // matrices [in, out]
  kBiases,   // vectors [out]
  kBlocks,   // codes of MXFP4 [out, in / 32, 16], bytes; value 2i of a block in the low half of i
  kScales,   // their exponents [out, in / 32], bytes
};

// Where a tensor goes. expert >= 0: one of the slices that are stacked into `name`.
struct Target {
  std::string name;
  std::string odd_name = {};  // gets every second row, from the second on; `name` gets the others
  int expert = -1;
  bool qk = false;  // rows are permuted in a family that asks for it
  Stack stack = Stack::kNone;
};

// Of a tensor's name in the file. Empty Target name: known and of no use (rotary tables and masks,
// which are computed; BERT's heads for its training tasks). Nothing: not known.
std::optional<Target> map_tensor(const Family& family, std::string_view name);

}  // namespace weir::checkpoint
