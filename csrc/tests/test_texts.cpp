#include <traitcore/texts.hpp>

#include <map>
#include <string>
#include <utility>

#include "check.hpp"

namespace tc = traitcore;

namespace {

void codes_equal_a_map() {
  tc::TextCodes table;
  std::map<std::pair<std::string, unsigned>, std::int32_t> slow;
  tc::CounterRng rng(7, 0);
  for (int i = 0; i < 60000; ++i) {  // the table grows several times; texts with zero bytes, empty ones, long ones
    std::string text(rng.below(20), '\0');
    for (char& c : text) c = static_cast<char>(rng.below(3));
    const std::uint32_t kind = 1 + rng.below(2);
    const auto expected = slow.emplace(std::make_pair(text, kind), static_cast<std::int32_t>(slow.size())).first->second;
    const tc::Text given{text.data(), text.size(), kind};
    const auto hash = tc::TextCodes::hash(given);
    table.look(hash);
    table.look_closer(hash);
    CHECK(table.code(given, hash) == expected);
    CHECK(table.code(given) == expected);
  }
  CHECK(table.size() == static_cast<std::int32_t>(slow.size()));
  CHECK(table.size() > 10000);
}

}  // namespace

int main() {
  return run_tests({{"codes equal a map's", codes_equal_a_map}});
}
