// The searches of encoders, 8 blocks at a time.
#include "quant/generic/searches.h"

namespace weir::quant {

const SearchTable kAvx2Search = generic::make_search<8>();

}  // namespace weir::quant
