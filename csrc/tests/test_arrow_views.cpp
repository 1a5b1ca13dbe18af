#include <traitcore/arrow_views.hpp>

#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

/// Views of texts, the longer ones in two data buffers in turn.
void texts_are_gathered_from_their_places() {
  std::vector<std::uint8_t> views, data[2];
  std::vector<std::int64_t> offsets{0};
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string text(static_cast<std::size_t>(i * 7 % 31), static_cast<char>('a' + i % 26));
    const auto length = static_cast<std::int32_t>(text.size());
    std::uint8_t view[16] = {};
    std::memcpy(view, &length, 4);
    if (length <= tc::kInline) {
      std::memcpy(view + 4, text.data(), text.size());
    } else {
      auto& buffer = data[i % 2];
      const std::int32_t place[2] = {i % 2, static_cast<std::int32_t>(buffer.size())};
      std::memcpy(view + 8, place, 8);
      buffer.insert(buffer.end(), text.begin(), text.end());
    }
    views.insert(views.end(), view, view + 16);
    expected += text;
    offsets.push_back(static_cast<std::int64_t>(expected.size()));
  }
  std::vector<std::uint8_t> out(expected.size());
  tc::ViewedBytes buffers[2];
  for (int i = 0; i < 2; ++i) buffers[i] = {data[i].data(), static_cast<std::int64_t>(data[i].size())};
  CHECK(tc::gather_views(views.data(), 100, buffers, 2, offsets.data(), out.data()));
  CHECK(std::string(out.begin(), out.end()) == expected);
  CHECK(!tc::gather_views(views.data(), 100, buffers, 1, offsets.data(), out.data()));
  --buffers[0].size;
  CHECK(!tc::gather_views(views.data(), 100, buffers, 2, offsets.data(), out.data()));
}

}  // namespace

int main() {
  return run_tests({{"texts are gathered from their places", texts_are_gathered_from_their_places}});
}
