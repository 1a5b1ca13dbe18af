#include <traitcore/codes.hpp>
#include <traitcore/hashes.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

std::vector<std::int64_t> some_values(std::uint64_t below, std::int64_t from) {
  std::vector<std::int64_t> values;
  tc::CounterRng rng(below, 1);
  for (int i = 0; i < 50'000; ++i) values.push_back(from + static_cast<std::int64_t>(rng() % below));
  return values;
}

void codes_by_value_equal_a_set() {
  const auto values = some_values(40'000, -7);
  std::vector<std::int32_t> codes(values.size());
  const auto n = static_cast<std::int64_t>(values.size());
  const auto distinct = tc::code_by_value(values.data(), n, -9, 39'999, codes.data());
  const std::set<std::int64_t> slow(values.begin(), values.end());
  CHECK(distinct == std::vector<std::int64_t>(slow.begin(), slow.end()));
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(distinct[static_cast<std::size_t>(codes[i])] == values[i]);
}

void codes_by_first_sight_equal_a_map() {
  for (const std::uint64_t below : {std::uint64_t{50}, std::uint64_t{30'000}, std::uint64_t{1} << 63}) {
    const auto values = some_values(below, -(std::int64_t{1} << 62));
    tc::IntegerCodes table;
    std::map<std::int64_t, std::int32_t> slow;
    std::vector<std::int32_t> codes(values.size());
    table.code(values.data(), 3, codes.data());
    table.code(values.data() + 3, static_cast<std::int64_t>(values.size()) - 3, codes.data() + 3);
    for (std::size_t i = 0; i < values.size(); ++i)
      CHECK(codes[i] == slow.emplace(values[i], static_cast<std::int32_t>(slow.size())).first->second);
    CHECK(table.distinct().size() == slow.size());
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(table.distinct()[static_cast<std::size_t>(codes[i])] == values[i]);
  }
}

void ranks_replace_codes_and_nulls_stay() {
  std::vector<std::int32_t> codes{0, -1, 2, 1, 2};
  const std::vector<std::int32_t> rank{5, 6, 7};
  tc::remap_codes(1, 4, codes.data(), rank.data());
  CHECK((codes == std::vector<std::int32_t>{0, -1, 7, 6, 2}));
}

void hashes_stay_what_they_are() {
  const std::string text = "foobar";  // a published test vector of FNV-1a
  CHECK(tc::hash_bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()) == 0x85944171f73967e8ull);
  CHECK(tc::hash_bytes(nullptr, 0) == 0xcbf29ce484222325ull);
  CHECK(tc::chain_hash(1, 2) != tc::chain_hash(2, 1));
}

}  // namespace

int main() {
  const Test tests[] = {
      {"codes by value equal a set's", codes_by_value_equal_a_set},
      {"codes by first sight equal a map's", codes_by_first_sight_equal_a_map},
      {"ranks replace codes, and nulls stay", ranks_replace_codes_and_nulls_stay},
      {"hashes stay what they are", hashes_stay_what_they_are},
  };
  return run_tests(tests);
}
