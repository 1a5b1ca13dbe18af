// Hashes of ids. The order of tied events comes from them, so they are the same on every machine and in every release.
#pragma once
#include <cstddef>
#include <cstdint>

#include "rng.hpp"

namespace traitcore {

/// Hash of what `h` is a hash of, followed by `value`.
inline constexpr std::uint64_t chain_hash(std::uint64_t h, std::uint64_t value) {
  return mix64(h + (value + 1) * kGolden);
}

/// FNV-1a (Fowler, Noll & Vo; RFC 9923) of some bytes.
inline std::uint64_t hash_bytes(const std::uint8_t* bytes, std::size_t n) {
  std::uint64_t h = 0xCBF29CE484222325ull;
  for (std::size_t i = 0; i < n; ++i) h = (h ^ bytes[i]) * 0x100000001B3ull;
  return h;
}

}  // namespace traitcore
