// Arrow's string views (16 bytes each) as plain text: https://arrow.apache.org/docs/format/Columnar.html
#pragma once
#include <cstdint>
#include <cstring>

namespace traitcore {

constexpr std::int32_t kInline = 12;  // a text of up to this many bytes lies in its view

/// Copies the texts that lie in data buffer `which` (-1: in their view) to out[offsets[i]] ...; false where a view points
/// out of the buffer.
inline bool gather_views(const std::uint8_t* views, std::int64_t n, std::int64_t which, const std::uint8_t* data,
                         std::int64_t n_bytes, const std::int64_t* offsets, std::uint8_t* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t length = offsets[i + 1] - offsets[i];
    if (length == 0) continue;
    const std::uint8_t* view = views + 16 * i;
    if (length <= kInline) {
      if (which == -1) std::memcpy(out + offsets[i], view + 4, static_cast<std::size_t>(length));
      continue;
    }
    std::int32_t place[2];  // of the buffer, and in it
    std::memcpy(place, view + 8, sizeof place);
    if (place[0] != which) continue;
    if (place[1] < 0 || place[1] + length > n_bytes) return false;
    std::memcpy(out + offsets[i], data + place[1], static_cast<std::size_t>(length));
  }
  return true;
}

}  // namespace traitcore
