// Texts to codes by order of first sight: an open-addressing table over the bytes of what was met.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "rng.hpp"
#include "simd/memory.hpp"

namespace traitcore {

/// Bytes, and any small number that must agree too, such as the width of a character.
struct Text {
  const void* data;
  std::size_t size;
  std::uint32_t kind;
};

/// code() alone is enough. A loop over many texts that takes a few of them at a time, first look() for each, then
/// look_closer(), then code(), waits for memory once and not three times a text.
class TextCodes {
 public:
  TextCodes() : slots_(std::size_t{1} << 12) {}

  std::int32_t size() const { return static_cast<std::int32_t>(records_.size()); }

  /// The bytes of a code's text; valid until the next text is coded.
  Text text(std::int32_t code) const {
    const std::uint64_t* record = &arena_[records_[static_cast<std::size_t>(code)].second];
    return {record + 1, static_cast<std::size_t>(*record >> 8), static_cast<std::uint32_t>(*record & 0xFF)};
  }

  static std::uint64_t hash(const Text& text) {
    const auto* bytes = static_cast<const unsigned char*>(text.data);
    std::size_t n = text.size;
    std::uint64_t h = (static_cast<std::uint64_t>(text.kind) << 56 ^ n) + kGolden;
    if (n >= 8) {
      for (; n > 8; bytes += 8, n -= 8) h = step(h, load<std::uint64_t>(bytes));
      h = step(h, load<std::uint64_t>(bytes + n - 8));  // of the last eight bytes some may come twice
    } else if (n >= 4) {
      h = step(h, load<std::uint32_t>(bytes) | static_cast<std::uint64_t>(load<std::uint32_t>(bytes + n - 4)) << 32);
    } else if (n > 0) {
      h = step(h, bytes[0] | static_cast<std::uint64_t>(bytes[n / 2]) << 8 | static_cast<std::uint64_t>(bytes[n - 1]) << 16);
    }
    return mix64(h);
  }

  void look(std::uint64_t hash) const { prefetch(&slots_[place_of(hash)]); }
  void look_closer(std::uint64_t hash) const {
    const Slot& slot = slots_[place_of(hash)];
    if (slot.code >= 0) prefetch(&arena_[slot.record]);
  }

  /// Code of a text; that of a new one is the size until now.
  std::int32_t code(const Text& text, std::uint64_t hash) {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t place = place_of(hash);
    for (; slots_[place].code >= 0; place = (place + 1) & (slots_.size() - 1))
      if (slots_[place].tag == tag && same(&arena_[slots_[place].record], text)) return slots_[place].code;
    if (records_.size() >= 0x7FFFFFFF) throw std::length_error("more than 2^31 - 1 distinct texts");
    const std::int32_t code = size();
    slots_[place] = {tag, code, arena_.size()};
    records_.push_back({hash, arena_.size()});
    arena_.push_back(static_cast<std::uint64_t>(text.size) << 8 | text.kind);
    arena_.resize(arena_.size() + (text.size + 7) / 8);
    if (text.size > 0) std::memcpy(&arena_[records_.back().second + 1], text.data, text.size);
    if (2 * records_.size() > slots_.size()) grow();
    return code;
  }
  std::int32_t code(const Text& text) { return code(text, hash(text)); }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t code = -1;
    std::uint64_t record = 0;
  };

  template <class Word>
  static Word load(const unsigned char* bytes) {
    Word word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
  }
  static std::uint64_t step(std::uint64_t h, std::uint64_t w) {
    h = (h ^ w) * 0xBF58476D1CE4E5B9ull;
    return h ^ (h >> 32);
  }

  std::size_t place_of(std::uint64_t hash) const { return hash & (slots_.size() - 1); }

  static bool same(const std::uint64_t* record, const Text& text) {
    if (*record != (static_cast<std::uint64_t>(text.size) << 8 | text.kind)) return false;
    const auto* a = reinterpret_cast<const unsigned char*>(record + 1);
    const auto* b = static_cast<const unsigned char*>(text.data);
    const std::size_t n = text.size;
    if (n < 8 || n > 16) return n == 0 || std::memcmp(a, b, n) == 0;
    return ((load<std::uint64_t>(a) ^ load<std::uint64_t>(b)) |
            (load<std::uint64_t>(a + n - 8) ^ load<std::uint64_t>(b + n - 8))) == 0;
  }

  void grow() {
    std::vector<Slot> larger(4 * slots_.size());
    slots_.swap(larger);
    for (std::size_t code = 0; code < records_.size(); ++code) {
      const auto [hash, record] = records_[code];
      std::size_t place = place_of(hash);
      while (slots_[place].code >= 0) place = (place + 1) & (slots_.size() - 1);
      slots_[place] = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::int32_t>(code), record};
    }
  }

  std::vector<Slot> slots_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> records_;  ///< hash and place in the arena, by code
  std::vector<std::uint64_t> arena_;  ///< size and kind, then the bytes, of each text
};

}  // namespace traitcore
