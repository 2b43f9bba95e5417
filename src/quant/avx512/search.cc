// The searches of encoders, 16 blocks at a time.
#include "quant/generic/searches.h"

namespace weir::quant {

const SearchTable kAvx512Search = generic::make_search<16>();

}  // namespace weir::quant
