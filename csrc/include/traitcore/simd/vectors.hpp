// Vectors of floats (f32) and of doubles (f64) in the registers of each instruction set; see detail/vectors.inl.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "level.hpp"

namespace traitcore::simd {
#define TRAITCORE_KERNEL <traitcore/detail/vectors.inl>
#include "foreach_level.hpp"
}  // namespace traitcore::simd
