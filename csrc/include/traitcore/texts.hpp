// Texts to codes by order of first sight: an open-addressing table over the bytes of what was met.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <vector>

#include "rng.hpp"

namespace traitcore {

/// Texts are equal when their bytes and their `kind` are: a kind is any small number, such as the width of a character.
class TextCodes {
 public:
  static constexpr std::int32_t kFull = 0x7FFFFFFF;  ///< codes that there can be

  TextCodes() : slots_(std::size_t{1} << 12) {}

  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }

  /// Code of a text; that of a new one is the size until now.
  std::int32_t code(const void* text, std::size_t n, unsigned kind) {
    const auto* bytes = static_cast<const unsigned char*>(text);
    const std::uint64_t hash = hash_of(bytes, n, kind);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    std::size_t place = hash & (slots_.size() - 1);
    for (; slots_[place].code >= 0; place = (place + 1) & (slots_.size() - 1)) {
      if (slots_[place].tag != tag) continue;
      const Entry& known = entries_[static_cast<std::size_t>(slots_[place].code)];
      if (known.length == n && known.hash == hash && known.kind == kind &&
          std::memcmp(arena_.data() + known.first, bytes, n) == 0)
        return slots_[place].code;
    }
    if (size() == kFull) throw std::length_error("more than 2^31 - 1 distinct texts");
    const std::int32_t code = size();
    entries_.push_back({hash, arena_.size(), n, kind});
    arena_.insert(arena_.end(), bytes, bytes + n);
    slots_[place] = {tag, code};
    if (2 * entries_.size() > slots_.size()) grow();
    return code;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t code = -1;
  };
  struct Entry {
    std::uint64_t hash;
    std::size_t first, length;
    unsigned kind;
  };

  // Eight bytes at a time; each step is a bijection of what came before, so only mixing loses anything.
  static std::uint64_t hash_of(const unsigned char* bytes, std::size_t n, unsigned kind) {
    std::uint64_t h = (static_cast<std::uint64_t>(kind) << 56 ^ n) + kGolden;
    for (; n >= 8; bytes += 8, n -= 8) h = step(h, word(bytes, 8));
    if (n > 0) h = step(h, word(bytes, n));
    return mix64(h);
  }
  static std::uint64_t word(const unsigned char* bytes, std::size_t n) {
    std::uint64_t w = 0;
    std::memcpy(&w, bytes, n);
    return w;
  }
  static std::uint64_t step(std::uint64_t h, std::uint64_t w) {
    h = (h ^ w) * 0xBF58476D1CE4E5B9ull;
    return h ^ (h >> 32);
  }

  void grow() {
    std::vector<Slot> larger(4 * slots_.size());
    for (std::size_t code = 0; code < entries_.size(); ++code) {
      std::size_t place = entries_[code].hash & (larger.size() - 1);
      while (larger[place].code >= 0) place = (place + 1) & (larger.size() - 1);
      larger[place] = {static_cast<std::uint32_t>(entries_[code].hash >> 32), static_cast<std::int32_t>(code)};
    }
    slots_ = std::move(larger);
  }

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  std::vector<unsigned char> arena_;
};

}  // namespace traitcore
