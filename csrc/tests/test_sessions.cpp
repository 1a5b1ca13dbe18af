// Sessions against a slow twin: all rows in one std::stable_sort, then plain loops.
#include <traitcore/sessions.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <tuple>

#include "check.hpp"

namespace tc = traitcore;

namespace {

using Ints = std::vector<std::int64_t>;

struct Log {
  std::int64_t n, n_groups, n_items = 7;
  std::vector<std::int32_t> group, item, owner;
  Ints time, position;
  std::vector<std::int16_t> action;
  std::vector<std::uint64_t> group_hash, item_hash;

  Log(std::int64_t n_, std::int64_t groups, std::int64_t times, std::uint64_t seed) : n(n_), n_groups(groups) {
    tc::CounterRng rng(seed, static_cast<std::uint64_t>(n_));
    const auto below = [&](std::int64_t top) { return static_cast<std::int64_t>(rng() % static_cast<std::uint64_t>(top)); };
    for (std::int64_t i = 0; i < n; ++i) {
      group.push_back(static_cast<std::int32_t>(below(groups)));
      item.push_back(static_cast<std::int32_t>(below(n_items)));
      action.push_back(static_cast<std::int16_t>(below(3)));
      time.push_back(below(times) * 30'000'000 - 86'400'000'000);  // some before 1970
      position.push_back(below(3));
    }
    for (std::int64_t g = 0; g < groups; ++g) {
      group_hash.push_back(rng());
      owner.push_back(static_cast<std::int32_t>(g / 2));
    }
    for (std::int64_t i = 0; i < n_items; ++i) item_hash.push_back(rng());
  }

  tc::EventColumns view(bool timed, bool placed, bool acted) const {
    tc::EventColumns v;
    v.n = n, v.item = item.data();
    v.time = timed ? time.data() : nullptr;
    v.position = placed ? position.data() : nullptr;
    v.action = acted ? action.data() : nullptr;
    return v;
  }
  tc::TieOrder ties(tc::Ties rule) const { return {rule, 5, group_hash.data(), item_hash.data()}; }
};

struct Grouped {
  Ints bounds, rows, times;
  tc::GroupedRows view() {
    return {static_cast<std::int64_t>(bounds.size()) - 1, bounds.data(), rows.data(), times.empty() ? nullptr : times.data()};
  }
  bool operator==(const Grouped& other) const {
    return bounds == other.bounds && rows == other.rows && times == other.times;
  }
};

Grouped ordered(const Log& log, const tc::EventColumns& view, tc::Ties rule, int workers) {
  const auto n = static_cast<std::size_t>(log.n);
  Grouped g{Ints(static_cast<std::size_t>(log.n_groups) + 1), Ints(n), Ints(view.time ? n : 0)};
  tc::group_rows(view, log.group.data(), g.view(), workers);
  tc::sort_groups(view, log.ties(rule), g.view(), workers);
  return g;
}

Grouped expected_order(const Log& log, const tc::EventColumns& view, tc::Ties rule) {
  const auto key = [&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    const std::int64_t time = view.time ? log.time[i] : 0, place = view.position ? log.position[i] : 0;
    const std::int64_t act = view.action ? log.action[i] : 0, item = log.item[i];
    std::array<std::int64_t, 2> tie{0, 0};
    if (view.time || view.position) {
      if (rule == tc::Ties::content) tie = {act, item};
      if (rule == tc::Ties::shuffle) {
        std::uint64_t h = tc::chain_hash(tc::mix64(5), log.group_hash[static_cast<std::size_t>(log.group[i])]);
        if (view.time) h = tc::chain_hash(h, static_cast<std::uint64_t>(time));
        if (view.position) h = tc::chain_hash(h, static_cast<std::uint64_t>(place));
        tie = {static_cast<std::int64_t>(tc::chain_hash(h, log.item_hash[static_cast<std::size_t>(item)]) >> 16), act};
      }
    }
    return std::make_tuple(log.group[i], time, place, tie);
  };
  Grouped g{Ints(static_cast<std::size_t>(log.n_groups) + 1), Ints(static_cast<std::size_t>(log.n)), {}};
  std::iota(g.rows.begin(), g.rows.end(), 0);
  std::stable_sort(g.rows.begin(), g.rows.end(), [&](std::int64_t a, std::int64_t b) { return key(a) < key(b); });
  for (const auto each : log.group) ++g.bounds[static_cast<std::size_t>(each) + 1];
  std::partial_sum(g.bounds.begin(), g.bounds.end(), g.bounds.begin());
  if (view.time)
    for (const auto row : g.rows) g.times.push_back(log.time[static_cast<std::size_t>(row)]);
  return g;
}

void the_order_equals_one_stable_sort() {
  for (const auto& [n, groups, times] : {std::make_tuple(900, 13, 40), std::make_tuple(5'011, 1, 3000),
                                         std::make_tuple(5, 9, 2), std::make_tuple(2001, 700, 5)}) {
    const Log log(n, groups, times, 1);
    for (const auto rule : {tc::Ties::row, tc::Ties::content, tc::Ties::shuffle})
      for (int columns = 0; columns < 8; ++columns) {
        const auto view = log.view(columns & 1, columns & 2, columns & 4);
        const Grouped slow = expected_order(log, view, rule);
        for (const int workers : {1, 3}) CHECK(ordered(log, view, rule, workers) == slow);
      }
  }
}

struct Session {
  std::int32_t owner;
  Ints rows;
  bool operator==(const Session& other) const { return owner == other.owner && rows == other.rows; }
};

/// What split_sessions promises, one session at a time.
std::vector<Session> expected_sessions(const Log& log, const tc::EventColumns& view, const tc::SessionRules& rules,
                                       const Grouped& g, tc::SessionCounts& counts) {
  std::map<std::pair<std::int32_t, std::int64_t>, std::int64_t> by_day;
  std::map<std::int32_t, bool> busy;
  for (std::int64_t i = 0; i < log.n; ++i) {
    const auto who = log.owner[static_cast<std::size_t>(log.group[static_cast<std::size_t>(i)])];
    std::int64_t day = 0;  // days since one long before
    if (view.time) day = (log.time[static_cast<std::size_t>(i)] + 86'400'000'000ll * 1000) / 86'400'000'000ll;
    if (rules.max_events_per_day >= 0 && ++by_day[{who, day}] > rules.max_events_per_day) busy[who] = true;
  }
  counts.busy_owners = static_cast<std::int64_t>(busy.size());
  std::vector<Session> found;
  for (std::size_t each = 0; each + 1 < g.bounds.size(); ++each) {
    std::vector<Ints> parts;
    for (auto i = g.bounds[each]; i < g.bounds[each + 1]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool cut = i > g.bounds[each] && rules.gap_us >= 0 && g.times[at] - g.times[at - 1] > rules.gap_us;
      if (parts.empty() || cut) parts.emplace_back();
      parts.back().push_back(g.rows[at]);
    }
    for (const Ints& rows : parts) {
      const auto n = static_cast<std::int64_t>(rows.size());
      const auto time = [&](std::size_t i) { return view.time[rows[i]]; };
      tc::Fate fate = tc::kKept;
      for (std::size_t i = 0; rules.max_events_per_minute >= 0 && i < rows.size(); ++i) {
        std::int64_t near = 0;
        for (std::size_t j = i; j < rows.size(); ++j) near += time(j) - time(i) < 60'000'000;
        if (near > rules.max_events_per_minute) fate = tc::kTooFast;
      }
      if (rules.max_events >= 0 && n > rules.max_events) fate = tc::kTooLong;
      if (busy.count(log.owner[each])) fate = tc::kBusyDay;
      Session kept{log.owner[each], {rows[0]}};
      std::int64_t twins = 0, dropped = 0, merged = 0;
      for (std::size_t i = 1; i < rows.size(); ++i) {
        const auto same = [&](const auto* column) { return !column || column[rows[i - 1]] == column[rows[i]]; };
        const bool alike = same(view.item) && same(view.action);
        const bool twin = alike && same(view.time) && same(view.position) && (view.time || view.position);
        twins += twin;
        if (twin && rules.drop_duplicates)
          ++dropped;
        else if (alike && rules.merge_repeats)
          ++merged;
        else
          kept.rows.push_back(rows[i]);
      }
      const auto left = static_cast<std::int64_t>(kept.rows.size());
      if (fate == tc::kKept && left < rules.min_length) fate = tc::kTooShort;
      ++counts.sessions[fate];
      if (fate != tc::kKept) {
        counts.events[fate] += n;
        continue;
      }
      counts.events[tc::kStarts] += 1, counts.events[tc::kKept] += left - 1;
      counts.events[tc::kDuplicate] += dropped, counts.events[tc::kRepeat] += merged;
      counts.duplicates += twins;
      found.push_back(kept);
    }
  }
  return found;
}

void check_cut(const Log& log, const tc::EventColumns& view, const tc::SessionRules& rules, int workers) {
  Grouped g = ordered(log, view, tc::Ties::shuffle, workers);
  tc::SessionCounts slow;
  const auto expected = expected_sessions(log, view, rules, g, slow);
  std::vector<std::uint8_t> state(static_cast<std::size_t>(log.n), 99);
  const auto counts = tc::cut_groups(view, rules, g.view(), log.owner.data(), state.data(), workers);
  CHECK(std::equal(counts.events, counts.events + tc::kFates, slow.events));
  CHECK(std::equal(counts.sessions, counts.sessions + tc::kFates, slow.sessions));
  CHECK(counts.duplicates == slow.duplicates && counts.busy_owners == slow.busy_owners);
  Ints offsets(expected.size() + 1);
  std::vector<std::int32_t> owner(expected.size());
  const auto tied = tc::compact_sessions(view, g.view(), log.owner.data(), state.data(), offsets.data(), owner.data());
  std::int64_t slow_tied = 0;
  for (std::size_t s = 0; s < expected.size(); ++s) {
    const Ints rows(g.rows.begin() + offsets[s], g.rows.begin() + offsets[s + 1]);
    CHECK((Session{owner[s], rows}) == expected[s]);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto at = static_cast<std::size_t>(offsets[s]) + i;
      if (view.time) CHECK(g.times[at] == view.time[rows[i]]);
      const auto same = [&](const auto* column) { return !column || column[rows[i]] == column[rows[i - 1]]; };
      slow_tied += i > 0 && (view.time || view.position) && same(view.time) && same(view.position);
    }
  }
  CHECK(tied == slow_tied);
}

void cuts_equal_plain_loops() {
  for (int columns = 0; columns < 8; ++columns)
    for (int rule = 0; rule < 64; ++rule) {
      const Log log(rule % 2 ? 700 : 90, rule % 3 ? 20 : 4, 600, static_cast<std::uint64_t>(rule));
      const auto view = log.view(columns & 1, columns & 2, columns & 4);
      tc::SessionRules rules;
      rules.gap_us = view.time ? 90'000'000 : -1;
      rules.min_length = rule & 1 ? 3 : 1;
      rules.max_events = rule & 2 ? 6 : -1;
      rules.max_events_per_minute = rule & 4 && view.time ? 2 : -1;
      rules.max_events_per_day = rule & 8 && view.time ? 25 : -1;
      rules.merge_repeats = rule & 16;
      rules.drop_duplicates = rule & 32;
      check_cut(log, view, rules, 1 + rule % 3);
    }
}

void a_poll_that_throws_ends_the_work() {
  const Log log(500, 20, 50, 3);
  const auto view = log.view(true, false, false);
  Grouped g = ordered(log, view, tc::Ties::row, 1);
  const tc::Poll stop = [] { throw std::runtime_error("stop"); };
  check_throws<std::runtime_error>([&] { tc::group_rows(view, log.group.data(), g.view(), 2, stop); });
  check_throws<std::runtime_error>([&] { tc::sort_groups(view, log.ties(tc::Ties::row), g.view(), 2, stop); });
}

}  // namespace

int main() {
  const Test tests[] = {
      {"the order equals one stable sort", the_order_equals_one_stable_sort},
      {"cuts equal plain loops", cuts_equal_plain_loops},
      {"a poll that throws ends the work", a_poll_that_throws_ends_the_work},
  };
  return run_tests(tests);
}
