// Where factors of columns can move into what makes the columns' input, so that the model stays the
// same function: rules over names and shapes, for models of either format.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::checkpoint {

// By the names of a GGUF file; [rows, cols] of a matrix, [cols] of a vector.
using FoldShapes = std::map<std::string, std::vector<uint64_t>>;

struct FoldRule {
  std::string maker;                 // a norm's weights [cols], or a matrix [cols, any]
  bool norm = false;                 // of the two
  std::vector<std::string> readers;  // all that is done with the input: matrices [any, cols]
};

// Of a model with these tensors. Pairs of
//   attn_norm: q, k, v        ffn_norm: gate, up       (where nothing else reads the norm)
//   v: output                 (where every head has its own v: not with grouped queries)
//   up: down                  (where a gate is multiplied with up)
// without biases. A layer with a tensor of unknown use has none. Layers ascending.
std::vector<FoldRule> fold_rules(const FoldShapes& known);

// The factor that makes a norm's weight `now`, as it was stored, what it was: now * factor == old
// to F32's rounding. 0 where there is none, and the old weight has to stay.
float settled_factor(float old, float now);

// Places of a model that is about to be quantized. sample() and round_trip() of several places from
// any thread, fold() from one.
class ScalePlaces {
 public:
  struct Place {
    std::string known_as;  // a matrix that reads the input, by its name in GGUF files
    size_t rows = 0;       // of all matrices that do
    size_t cols = 0;
  };

  virtual ~ScalePlaces() = default;
  virtual const std::vector<Place>& places() const = 0;
  // Values of a place's matrices: [any, cols], every nth row so that they are at most most_rows (0:
  // all). Errors: kInvalidValue naming the tensor of a value that is none.
  virtual Result<std::vector<float>> sample(size_t place, size_t most_rows) const = 0;
  // Puts what they are when quantized in the place of values, the rows of sample(place, most_rows)
  // times factors. weights: [cols], of squared errors, or empty. Errors: those of the encoder.
  virtual Status round_trip(size_t place, size_t most_rows, std::span<const float> weights,
                            std::span<float> values) const = 0;
  // Multiplies the columns of a place's matrices by factors [cols], positive and finite, once for a
  // place, and divides what makes their input. A norm's new weights are rounded to its type, and
  // the factors to what that makes them.
  virtual void fold(size_t place, std::vector<float> factors) = 0;

 protected:
  ScalePlaces() = default;
  ScalePlaces(const ScalePlaces&) = default;
  ScalePlaces& operator=(const ScalePlaces&) = default;
  ScalePlaces(ScalePlaces&&) = default;
  ScalePlaces& operator=(ScalePlaces&&) = default;
};

}  // namespace weir::checkpoint
