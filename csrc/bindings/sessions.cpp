// Sessions of a log: see sessions.hpp. Codes are trusted: groups below n_groups, items and actions that have hashes.
#include "bindings.hpp"

#include <traitcore/sessions.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

/// Columns of a log of n rows; each may be None but the items.
EventColumns take_log(const Caller& of, std::int64_t n, Arg time, Arg position, Arg action, Arg item) {
  const Axis rows{"rows", n};
  EventColumns log;
  log.n = n;
  log.time = of.data_or_null<const std::int64_t>("time", time, {rows});
  log.position = of.data_or_null<const std::int64_t>("position", position, {rows});
  log.action = of.data_or_null<const std::int16_t>("action", action, {rows});
  log.item = of.array<const std::int32_t>("item", item, {rows}).data;
  return log;
}

template <class T>
T* data_of(py::array_t<T>& array) {
  return array.mutable_data();
}

py::tuple order_events(Arg group, Arg n_groups, Arg time, Arg position, Arg action, Arg item, Arg ties, Arg seed,
                       Arg group_hash, Arg item_hash, Arg workers) {
  const Caller of("order_events");
  const auto codes = of.array<const std::int32_t>("group", group, {{"rows"}});
  const EventColumns log = take_log(of, codes.shape[0], time, position, action, item);
  const auto n = of.integer("n_groups", n_groups);
  TieOrder order;
  order.rule = static_cast<Ties>(of.integer<int>("ties", ties, 0, 2));
  order.seed = of.integer<std::uint64_t>("seed", seed);
  order.group_hash = of.data_or_null<const std::uint64_t>("group_hash", group_hash, {{"n_groups", n}});
  order.item_hash = of.data_or_null<const std::uint64_t>("item_hash", item_hash, {{"items"}});
  if (order.rule == Ties::shuffle && !(order.group_hash && order.item_hash)) order.rule = Ties::row;
  const auto threads = of.integer<int>("workers", workers, 1);
  py::array_t<std::int64_t> rows(log.n), bounds(n + 1), times(log.time ? log.n : 0);
  const GroupedRows groups{n, data_of(bounds), data_of(rows), log.time ? data_of(times) : nullptr};
  without_gil([&] {
    group_rows(log, codes.data, groups, threads, poll);
    sort_groups(log, order, groups, threads, poll);
  });
  return py::make_tuple(rows, bounds, log.time ? py::object(times) : py::none());
}

py::tuple cut_sessions(Arg rows, Arg bounds, Arg times, Arg group_owner, Arg position, Arg action, Arg item, Arg gap_us,
                       Arg min_length, Arg max_events, Arg per_minute, Arg per_day, bool merge, bool drop, Arg workers) {
  const Caller of("cut_sessions");
  const auto order = of.array<std::int64_t>("rows", rows, {{"rows"}});
  const auto begin = of.array<const std::int64_t>("bounds", bounds, {{"n_groups + 1"}});
  const std::int64_t n = order.shape[0], n_groups = begin.shape[0] - 1;
  const bool whole = n_groups >= 0 && begin.data[0] == 0 && begin.data[n_groups] == n;
  of.require(whole, "bounds", "rising from 0 to the number of rows", begin.shape[0]);
  auto* sorted = of.data_or_null<std::int64_t>("times", times, {{"rows", n}});
  const auto* owner = of.data_or_null<const std::int32_t>("group_owner", group_owner, {{"n_groups", n_groups}});
  const EventColumns log = take_log(of, n, py::none(), position, action, item);
  SessionRules rules;
  rules.gap_us = of.integer("gap_us", gap_us, -1), rules.min_length = of.integer("min_length", min_length, 1);
  rules.max_events = of.integer("max_events", max_events, -1);
  rules.max_events_per_minute = of.integer("per_minute", per_minute, -1);
  rules.max_events_per_day = of.integer("per_day", per_day, -1);
  rules.merge_repeats = merge, rules.drop_duplicates = drop;
  const bool timed = rules.gap_us >= 0 || rules.max_events_per_minute >= 0 || rules.max_events_per_day >= 0;
  of.require(!timed || sorted, "times", "given where a rule looks at them", 0);
  of.require(rules.max_events_per_day < 0 || owner, "group_owner", "given with per_day", 0);
  const auto threads = of.integer<int>("workers", workers, 1);
  const GroupedRows groups{n_groups, const_cast<std::int64_t*>(begin.data), order.data, sorted};
  SessionCounts counts;
  std::unique_ptr<std::uint8_t[]> state(new std::uint8_t[static_cast<std::size_t>(n)]);
  without_gil([&] { counts = cut_groups(log, rules, groups, owner, state.get(), threads, poll); });
  py::array_t<std::int64_t> offsets(counts.sessions[kKept] + 1);
  py::array_t<std::int32_t> owners(owner ? counts.sessions[kKept] : 0);
  auto *starts = data_of(offsets);
  auto *whose = owner ? data_of(owners) : nullptr;
  const std::int64_t tied = without_gil([&] { return compact_sessions(log, groups, owner, state.get(), starts, whose); });
  return py::make_tuple(offsets, owner ? py::object(owners) : py::none(), py::array_t<std::int64_t>(kFates, counts.events),
                        py::array_t<std::int64_t>(kFates, counts.sessions), counts.duplicates, counts.busy_owners, tied);
}

}  // namespace

void bind_sessions(py::module_& m) {
  define(m, "order_events", &order_events,
         "Rows of a log by group int32 (n,), each group's sorted by (time int64, position int64), then by `ties`: 0 as they "
         "stand, 1 by (action int16, item int32), 2 at random by group_hash uint64 (n_groups,) and item_hash uint64, all of "
         "which may be None but the items. Returns rows (n,), bounds (n_groups + 1,) and times (n,) or None, all int64.",
         "group", "n_groups", "time", "position", "action", "item", "ties", "seed", "group_hash", "item_hash", "workers");
  define(m, "cut_sessions", &cut_sessions,
         "Cuts what order_events returns. rows and times are changed in place: what is kept comes first. Limits below 0 are "
         "none. Returns offsets int64 (sessions + 1,), owner int32 (sessions,) or None, events and sessions int64 (8,) by "
         "what became of them (kept, kept and first of a session, too short, too long, too fast, of a busy owner, merged, "
         "duplicate), duplicates met, busy owners, and events tied with the one before them.",
         "rows", "bounds", "times", "group_owner", "position", "action", "item", "gap_us", "min_length", "max_events",
         "per_minute", "per_day", "merge", "drop", "workers");
}

}  // namespace traitcore_bindings
