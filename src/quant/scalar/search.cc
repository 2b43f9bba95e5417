// The searches of encoders, 4 blocks at a time.
#include "quant/generic/linear.h"
#include "quant/generic/table.h"

namespace weir::quant {

const SearchTable kScalarSearch = generic::make_search<4>();

}  // namespace weir::quant
