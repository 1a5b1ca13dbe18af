// Memory for vectors: fetching it early, and buffers that begin on a cache line.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "level.hpp"

namespace traitcore {

/// Fetch the cache line at `p`, which will be read or, with `Write`, written to.
template <bool Write = false>
TRAITCORE_INLINE void prefetch(const void* p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p, Write, 3);
#else
  (void)p;
#endif
}

/// The first cache line at or after `p`.
template <class T>
T* align_to_line(T* p) {
  return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(p) + 63) / 64 * 64);
}

/// Room for `count` numbers from a cache line on, so that no vector straddles two: zeros, or not initialised.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count, bool zeros = true) {
    const std::size_t bytes = count * sizeof(T) + 63;
    bytes_.reset(zeros ? new unsigned char[bytes]() : new unsigned char[bytes]);
    data_ = reinterpret_cast<T*>(align_to_line(bytes_.get()));
  }
  T* data() { return data_; }
  const T* data() const { return data_; }

 private:
  std::unique_ptr<unsigned char[]> bytes_;
  T* data_ = nullptr;
};

}  // namespace traitcore
