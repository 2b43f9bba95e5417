// The searches of encoders, 4 blocks at a time.
#include "quant/generic/searches.h"

namespace weir::quant {

const SearchTable kScalarSearch = generic::make_search<4>();

}  // namespace weir::quant
