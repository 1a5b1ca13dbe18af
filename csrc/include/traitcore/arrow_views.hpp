// Arrow's string views (16 bytes each) as plain text: https://arrow.apache.org/docs/format/Columnar.html
#pragma once
#include <cstdint>
#include <cstring>

namespace traitcore {

constexpr std::int32_t kInline = 12;  // a text of up to this many bytes lies in its view

/// A data buffer to which views point.
struct ViewedBytes {
  const std::uint8_t* data;
  std::int64_t size;
};

/// Copies each view's text, offsets[i + 1] - offsets[i] bytes of it, to out[offsets[i]] ...; false where a view points out
/// of the buffers. One pass for all of them: a large column has hundreds.
inline bool gather_views(const std::uint8_t* views, std::int64_t n, const ViewedBytes* buffers, std::int64_t n_buffers,
                         const std::int64_t* offsets, std::uint8_t* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t length = offsets[i + 1] - offsets[i];
    if (length == 0) continue;
    const std::uint8_t* text = views + 16 * i + 4;
    if (length > kInline) {
      std::int32_t place[2];  // of the buffer, and in it
      std::memcpy(place, text + 4, sizeof place);
      if (place[0] < 0 || place[0] >= n_buffers) return false;
      const ViewedBytes& buffer = buffers[place[0]];
      if (place[1] < 0 || place[1] + length > buffer.size) return false;
      text = buffer.data + place[1];
    }
    std::memcpy(out + offsets[i], text, static_cast<std::size_t>(length));
  }
  return true;
}

}  // namespace traitcore
