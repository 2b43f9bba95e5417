#pragma once
// Where tests find their files. The checkout's folder is compiled into paths_testing.cc alone, so
// that the objects of the tests themselves are the same in every checkout and a compiler cache
// serves them.

#include <string>

namespace weir::paths {

// The path of `name`, relative to the root of the checkout ("tests/golden/...").
std::string repository(const std::string& name);

// The path of `name` under the shared data ("data/..."): in $WEIR_SHARED, else in shared/ beside
// the checkout. It need not exist: tests skip what is absent, saying so.
std::string shared(const std::string& name);

}  // namespace weir::paths
