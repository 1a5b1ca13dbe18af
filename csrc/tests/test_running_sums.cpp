#include <traitcore/event_weights.hpp>
#include <traitcore/running_sums.hpp>

#include <map>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

void weights_fall_with_place_and_age() {
  // Owner 0 has the runs [0, 2) and [4, 5), owner 1 none, owner 2 [2, 4).
  const std::vector<std::int64_t> first{0, 2, 2, 3}, starts{0, 4, 2}, stops{2, 5, 4}, times{10, 40, 7, 7, 30};
  const tc::OwnerRuns runs{first.data(), starts.data(), stops.data()};
  std::vector<float> out(5, 9.0f);
  tc::position_weights(runs, 0, 3, 0.5, out.data());
  CHECK((out == std::vector<float>{0.25f, 0.5f, 0.5f, 1.0f, 1.0f}));
  const std::vector<std::int32_t> tokens{0, 1, 0, 0, 0};
  const std::vector<float> by_token{1.0f, 0.0f};  // the event at 40 weighs nothing, and isn't the newest
  tc::age_weights(runs, 0, 3, tokens.data(), by_token.data(), times.data(), 10.0, out.data());
  CHECK((out == std::vector<float>{0.25f, 0.0f, 1.0f, 1.0f, 1.0f}));
}

void live_sums_equal_sums_over_all_events() {
  constexpr std::int64_t kHalfLife = 1000;
  std::vector<double> sums(6), mass(3);
  std::vector<std::int64_t> known(3), newest(3), exponent(3);
  const tc::LiveSums state{2, sums.data(), mass.data(), known.data(), newest.data(), exponent.data()};
  tc::CounterRng rng(1, 1);
  struct Event { std::int64_t row, time; double weight; float vector[2]; };
  std::vector<Event> events;
  for (int i = 0; i < 200; ++i) {
    Event e{rng.below(2), static_cast<std::int64_t>(rng.below(30'000)) - 15'000, rng.below(3) * 0.5, {rng.unit(), -rng.unit()}};
    tc::add_live_event(state, e.row, e.vector, e.weight, e.time, kHalfLife);
    if (e.weight > 0) events.push_back(e);
  }
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto r = static_cast<std::size_t>(row);
    double expected = 0, first = 0;
    std::int64_t count = 0, latest = 0;
    for (const Event& e : events) {
      if (e.row != row) continue;
      const double weight = e.weight * std::exp2(double(e.time) / kHalfLife - double(exponent[r]));
      expected += weight, first += weight * e.vector[0];
      latest = count++ ? std::max(latest, e.time) : e.time;
    }
    CHECK(known[r] == count && newest[r] == latest);
    CHECK(std::abs(mass[r] - expected) <= 1e-9 * expected && std::abs(sums[2 * r] - first) <= 1e-9 * std::abs(first));
  }
}

void token_pairs_equal_a_map() {
  std::vector<std::int64_t> keys(256, -1);
  std::vector<std::int32_t> counts(256);
  const tc::PairTable table{256, keys.data(), counts.data()};
  std::vector<float> weights{1, 2, 3, 4, 5}, basis{1, 0, 0, 1, 1, 1, 2, 0, 0, 2};
  std::vector<double> sums(40), squares(20);
  const tc::LiveProjection projection{2, weights.data(), basis.data(), sums.data(), squares.data()};
  std::map<std::pair<std::int64_t, std::int64_t>, int> slow;
  tc::CounterRng rng(3, 0);
  for (int i = 0; i < 400; ++i) {
    const std::int64_t row = rng.below(20), token = rng.below(5);
    CHECK(tc::add_token_event(table, projection, row, token) == (slow[{row, token}]++ == 0));
  }
  std::vector<double> expected(20);
  for (const auto& [pair, count] : slow) {
    const double x = weights[static_cast<std::size_t>(pair.second)] * std::log1p(double(count));
    expected[static_cast<std::size_t>(pair.first)] += x * x;
    CHECK(counts[static_cast<std::size_t>(table.find(pair.first << 32 | pair.second))] == count);
  }
  for (std::size_t row = 0; row < 20; ++row) CHECK(std::abs(squares[row] - expected[row]) < 1e-9 * expected[row]);
}

}  // namespace

int main() {
  const Test tests[] = {
      {"weights fall with place and age", weights_fall_with_place_and_age},
      {"live sums equal sums over all events", live_sums_equal_sums_over_all_events},
      {"token pairs equal a map's", token_pairs_equal_a_map},
  };
  return run_tests(tests);
}
