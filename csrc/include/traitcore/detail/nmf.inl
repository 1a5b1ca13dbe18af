// The kernels of nmf.hpp for one instruction set, for floats and for doubles.

#define TRAITCORE_REAL_LANES TRAITCORE_LANES
namespace of_float {
using Real = float;
using Vec = f32;
TRAITCORE_INLINE float square_root(float x) { return sqrtf(x); }
TRAITCORE_INLINE float scalar_log(float x) { return logf(x); }
#include <traitcore/detail/nmf_block.inl>
#include <traitcore/detail/nmf_entries.inl>
}  // namespace of_float
#undef TRAITCORE_REAL_LANES

#define TRAITCORE_REAL_LANES ((TRAITCORE_LANES + 1) / 2)
namespace of_double {
using Real = double;
using Vec = f64;
TRAITCORE_INLINE double square_root(double x) { return sqrt(x); }
TRAITCORE_INLINE double scalar_log(double x) { return log(x); }
#include <traitcore/detail/nmf_block.inl>
#include <traitcore/detail/nmf_entries.inl>
}  // namespace of_double
#undef TRAITCORE_REAL_LANES
