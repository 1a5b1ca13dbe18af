// A float matrix on huge pages where the system has them: random rows of a large table cost fewer TLB misses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "simd/memory.hpp"

namespace traitcore {

/// Rows are padded with zeros to a multiple of 16 floats, so that each begins on a cache line.
class Matrix {
 public:
  static constexpr std::size_t kLine = 16;

  Matrix() = default;
  Matrix(std::size_t rows, std::size_t columns)
      : rows_(rows), columns_(columns), stride_((columns + kLine - 1) / kLine * kLine) {
    if (stride_ && rows > std::numeric_limits<std::size_t>::max() / 8 / stride_) throw std::bad_alloc();
    allocate(rows_ * stride_ * sizeof(float));
  }
  Matrix(Matrix&& other) noexcept { swap(other); }
  Matrix& operator=(Matrix&& other) noexcept {
    swap(other);
    return *this;
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() { release(); }

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  std::size_t stride() const { return stride_; }
  float* data() { return data_; }
  const float* data() const { return data_; }
  float* row(std::size_t i) { return data_ + i * stride_; }
  const float* row(std::size_t i) const { return data_ + i * stride_; }

  /// Close the gaps between padded rows, in place: afterwards row i begins at data() + i * columns().
  void compact() {
    if (stride_ == columns_) return;
    for (std::size_t i = 1; i < rows_; ++i)
      std::memmove(data_ + i * columns_, data_ + i * stride_, columns_ * sizeof(float));
    stride_ = columns_;
  }

  /// The opposite of compact().
  void expand() {
    const std::size_t padded = (columns_ + kLine - 1) / kLine * kLine;
    if (stride_ == padded) return;
    for (std::size_t i = rows_; i-- > 0;) {
      std::memmove(data_ + i * padded, data_ + i * columns_, columns_ * sizeof(float));
      std::memset(data_ + i * padded + columns_, 0, (padded - columns_) * sizeof(float));
    }
    stride_ = padded;
  }

 private:
  void swap(Matrix& other) noexcept {
    std::swap(rows_, other.rows_);
    std::swap(columns_, other.columns_);
    std::swap(stride_, other.stride_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(mapped_, other.mapped_);
  }

#if defined(__linux__)
  static constexpr std::size_t kHugePage = std::size_t{1} << 21;

  // Anonymous memory is zero already and only takes room once touched, so the slack for alignment is free.
  void allocate(std::size_t bytes) {
    if (bytes == 0) return;
    bytes_ = bytes + kHugePage;
    mapped_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped_ == MAP_FAILED) {
      mapped_ = nullptr;
      throw std::bad_alloc();
    }
    const auto aligned = (reinterpret_cast<std::uintptr_t>(mapped_) + kHugePage - 1) & ~(kHugePage - 1);
    data_ = reinterpret_cast<float*>(aligned);
    madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice only: whole pages, so no memory is wasted
  }
  void release() {
    if (mapped_) munmap(mapped_, bytes_);
  }
#else
  void allocate(std::size_t bytes) {
    if (bytes == 0) return;
    bytes_ = bytes + 64;
    mapped_ = std::calloc(bytes_, 1);
    if (!mapped_) throw std::bad_alloc();
    data_ = align_to_line(static_cast<float*>(mapped_));
  }
  void release() { std::free(mapped_); }
#endif

  std::size_t rows_ = 0, columns_ = 0, stride_ = 0, bytes_ = 0;
  void* mapped_ = nullptr;
  float* data_ = nullptr;
};

}  // namespace traitcore
