// Sessions: the rows of each group (a customer, or a given session of one) brought together, sorted by time, cut where a
// pause is too long, and closed up over what is left out.
//
// The sort is a radix sort whose first digit is the whole group (a counting scatter); what is left, the few rows of a
// group, fits the cache. Threads take blocks of groups, and nothing depends on how blocks are cut. `poll` is called by
// every thread between blocks, and ends the work by throwing.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "hashes.hpp"
#include "parallel.hpp"
#include "simd/memory.hpp"
#include "stable_sort.hpp"

namespace traitcore {

/// The n rows of a log, as codes; null where it lacks a column. Everything is trusted.
struct EventColumns {
  std::int64_t n = 0;
  const std::int64_t* time = nullptr;      // microseconds
  const std::int64_t* position = nullptr;  // order of events of one time
  const std::int16_t* action = nullptr;
  const std::int32_t* item = nullptr;
};

/// Order of events that are equal in time and position: as their rows stand; by action and item; or at random, by a
/// hash of (seed, group, time, position, item), an item's own actions together and in their order.
enum class Ties { row, content, shuffle };

struct TieOrder {
  Ties rule = Ties::row;
  std::uint64_t seed = 0;
  const std::uint64_t* group_hash = nullptr;  // (n_groups,) and (n_items,) hashes of the ids, for Ties::shuffle
  const std::uint64_t* item_hash = nullptr;
};

/// The rows of group g are rows[bounds[g]] ... rows[bounds[g + 1] - 1], and `times` theirs, or null.
struct GroupedRows {
  std::int64_t n_groups = 0;
  std::int64_t* bounds = nullptr;  // (n_groups + 1,)
  std::int64_t* rows = nullptr;    // (n,)
  std::int64_t* times = nullptr;   // (n,)
};

/// How groups are cut, and which sessions are removed; below 0: no such rule.
struct SessionRules {
  std::int64_t gap_us = -1;      // a longer pause starts a session
  std::int64_t min_length = 1;   // fewer events, after merging, are removed
  std::int64_t max_events = -1;  // more are removed
  std::int64_t max_events_per_minute = -1;
  std::int64_t max_events_per_day = -1;  // owners with more on any UTC day are removed
  bool merge_repeats = false;            // an event with the action and item of the one before it is merged into it
  bool drop_duplicates = false;          // one that is equal to it in everything is dropped
};

/// What became of an event. Sessions are kept, or removed for one of the next four reasons.
enum Fate : std::uint8_t { kKept, kStarts, kTooShort, kTooLong, kTooFast, kBusyDay, kRepeat, kDuplicate, kFates };

struct SessionCounts {
  std::int64_t events[kFates] = {}, sessions[kFates] = {};
  std::int64_t duplicates = 0;   // exact ones met in the sessions kept, dropped or not
  std::int64_t busy_owners = 0;  // removed for max_events_per_day

  void add(const SessionCounts& other) {
    for (int fate = 0; fate < kFates; ++fate) events[fate] += other.events[fate], sessions[fate] += other.sessions[fate];
    duplicates += other.duplicates;
  }
};

using Poll = std::function<void()>;

namespace sessions {

constexpr std::int64_t kSlice = std::int64_t{1} << 21;  // rows between two polls: some tenths of a second
constexpr std::int64_t kAhead = 24;                     // rows between the fetch of a place and its use

/// Ranges at which blocks of groups begin: of nearly equal numbers of rows, several for each thread.
inline std::vector<std::int64_t> block_edges(const std::int64_t* bounds, std::int64_t n_groups, int workers) {
  const std::int64_t blocks = std::max<std::int64_t>(4 * workers, bounds[n_groups] / kSlice + 1);
  std::vector<std::int64_t> edges{0};
  for (std::int64_t b = 1; b <= blocks; ++b) {
    const std::int64_t rows = bounds[n_groups] / blocks * b;
    const auto* edge = b == blocks ? bounds + n_groups : std::lower_bound(bounds + edges.back(), bounds + n_groups, rows);
    if (edge - bounds > edges.back()) edges.push_back(edge - bounds);
  }
  return edges;
}

/// work(start, stop) for blocks of groups.
template <class Work>
void for_each_block(const std::int64_t* bounds, std::int64_t n_groups, int workers, const Poll& poll, const Work& work) {
  const auto edges = block_edges(bounds, n_groups, workers);
  for_each_task(static_cast<std::int64_t>(edges.size()) - 1, workers, [&](std::int64_t block) {
    if (poll) poll();
    work(edges[static_cast<std::size_t>(block)], edges[static_cast<std::size_t>(block) + 1]);
  });
}

template <class Work>
void in_slices(std::int64_t start, std::int64_t stop, const Poll& poll, const Work& work) {
  for (; start < stop; start += kSlice) {
    if (poll) poll();
    work(start, std::min(start + kSlice, stop));
  }
}

/// Sorts the rows of one group after the other.
class GroupSorter {
 public:
  GroupSorter(const EventColumns& log, const TieOrder& ties, std::int64_t longest)
      : log_(log), ties_(ties), sorter_(longest), keys_(new std::int64_t[static_cast<std::size_t>(longest)]) {}

  void sort(std::int64_t group, std::int64_t* rows, std::int64_t* times, std::int64_t n) {
    const std::uint64_t salt =
        ties_.rule == Ties::shuffle ? chain_hash(mix64(ties_.seed), ties_.group_hash[group]) : 0;
    if (!times) return log_.position ? sort_tied(rows, n, salt) : void();
    sorter_.sort(times, rows, n);
    if (ties_.rule == Ties::row && !log_.position) return;
    for (std::int64_t i = 0, j = 0; i < n; i = j) {
      for (j = i + 1; j < n && times[j] == times[i]; ++j) {
      }
      if (j - i > 1) sort_tied(rows + i, j - i, chain_hash(salt, static_cast<std::uint64_t>(times[i])));
    }
  }

 private:
  /// Rows of one time, or of none: as `ties` says, then stably by position, so that the position leads.
  void sort_tied(std::int64_t* rows, std::int64_t n, std::uint64_t instant) {
    if (ties_.rule != Ties::row) {
      for (std::int64_t i = 0; i < n; ++i) keys_[i] = tie_key(rows[i], instant);
      sorter_.sort(keys_.get(), rows, n);
    }
    if (log_.position) {
      for (std::int64_t i = 0; i < n; ++i) keys_[i] = log_.position[rows[i]];
      sorter_.sort(keys_.get(), rows, n);
    }
  }

  /// 48 bits of the hash lead, so that equal events, and the actions with one item, stay together. Two items of one
  /// instant share them once in 3e14 pairs, and then keep the order of their rows.
  std::int64_t tie_key(std::int64_t row, std::uint64_t instant) const {
    const std::int64_t action = log_.action ? log_.action[row] : 0, item = log_.item[row];
    if (ties_.rule == Ties::content) return item + (action << 32);
    const std::uint64_t place =
        log_.position ? chain_hash(instant, static_cast<std::uint64_t>(log_.position[row])) : instant;
    return (static_cast<std::int64_t>(chain_hash(place, ties_.item_hash[item]) >> 1) & ~std::int64_t{0x7FFF}) + action;
  }

  const EventColumns& log_;
  const TieOrder& ties_;
  StableSorter sorter_;
  std::unique_ptr<std::int64_t[]> keys_;
};

inline std::int64_t longest_of(const std::int64_t* bounds, std::int64_t start, std::int64_t stop) {
  std::int64_t longest = 0;
  for (std::int64_t g = start; g < stop; ++g) longest = std::max(longest, bounds[g + 1] - bounds[g]);
  return longest;
}

/// Cuts groups, one after the other, and says in `state` what became of each event.
class GroupCutter {
 public:
  GroupCutter(const EventColumns& log, const SessionRules& rules, const GroupedRows& groups, std::uint8_t* state)
      : log_(log), rules_(rules), rows_(groups.rows), times_(groups.times), state_(state) {}

  SessionCounts counts;

  void cut(std::int64_t low, std::int64_t stop, bool busy) {
    while (low < stop) {
      std::int64_t high = low + 1;
      if (rules_.gap_us < 0)
        high = stop;
      else
        while (high < stop && times_[high] - times_[high - 1] <= rules_.gap_us) ++high;
      finish(low, high, busy);
      low = high;
    }
  }

 private:
  void finish(std::int64_t low, std::int64_t high, bool busy) {
    Fate fate = kKept;
    std::int64_t found[kFates] = {}, duplicates = 0;
    if (busy)
      fate = kBusyDay;
    else if (rules_.max_events >= 0 && high - low > rules_.max_events)
      fate = kTooLong;
    else if (rules_.max_events_per_minute >= 0 && too_fast(low, high))
      fate = kTooFast;
    else {
      duplicates = mark(low, high, found);
      if (found[kKept] + found[kStarts] < rules_.min_length) fate = kTooShort;
    }
    ++counts.sessions[fate];
    if (fate != kKept) {
      std::fill(state_ + low, state_ + high, fate);
      counts.events[fate] += high - low;
      return;
    }
    counts.duplicates += duplicates;
    for (int each = 0; each < kFates; ++each) counts.events[each] += found[each];
  }

  bool too_fast(std::int64_t low, std::int64_t high) const {
    const std::int64_t limit = rules_.max_events_per_minute;
    for (std::int64_t i = low; i + limit < high; ++i)
      if (times_[i + limit] - times_[i] < 60'000'000) return true;
    return false;
  }

  /// Says what of a session merges into the row before it; returns the exact duplicates met.
  std::int64_t mark(std::int64_t low, std::int64_t high, std::int64_t* found) {
    const bool placed = times_ || log_.position;
    std::int64_t duplicates = 0;
    state_[low] = kStarts;
    for (std::int64_t i = low + 1; i < high; ++i) {
      const bool at_once = placed && (!times_ || times_[i - 1] == times_[i]);
      state_[i] = kKept;
      if (!at_once && !rules_.merge_repeats) continue;  // without a look at the row, which lies anywhere in memory
      const std::int64_t a = rows_[i - 1], b = rows_[i];
      const bool same = log_.item[a] == log_.item[b] && (!log_.action || log_.action[a] == log_.action[b]);
      const bool twin = at_once && same && (!log_.position || log_.position[a] == log_.position[b]);
      duplicates += twin;
      if (twin && rules_.drop_duplicates)
        state_[i] = kDuplicate;
      else if (same && rules_.merge_repeats)
        state_[i] = kRepeat;
      found[state_[i]] += state_[i] != kKept;
    }
    found[kStarts] = 1;
    found[kKept] = high - low - 1 - found[kDuplicate] - found[kRepeat];
    return duplicates;
  }

  const EventColumns& log_;
  const SessionRules& rules_;
  const std::int64_t *rows_, *times_;
  std::uint8_t* state_;
};

/// Has one of these events' UTC days more than `limit` of them?
inline bool busy_day(const std::int64_t* times, std::int64_t n, std::int64_t limit, std::vector<std::int64_t>& days) {
  if (n <= limit) return false;
  constexpr std::int64_t kDay = 86'400'000'000;
  days.resize(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < days.size(); ++i) days[i] = times[i] / kDay - (times[i] % kDay < 0);
  if (!std::is_sorted(days.begin(), days.end()))  // ready-made sessions of one owner may overlap in time
    std::sort(days.begin(), days.end());
  for (std::int64_t i = 0; i + limit < n; ++i)
    if (days[static_cast<std::size_t>(i)] == days[static_cast<std::size_t>(i + limit)]) return true;
  return false;
}

/// (n_groups,) 1 where the owner of a group has more than `limit` events on a day. Groups of an owner are neighbours.
inline std::vector<std::uint8_t> busy_groups(const GroupedRows& groups, const std::int32_t* owner, std::int64_t limit,
                                             std::int64_t& busy_owners) {
  std::vector<std::uint8_t> busy(static_cast<std::size_t>(groups.n_groups));
  std::vector<std::int64_t> days;
  for (std::int64_t g = 0, end = 0; g < groups.n_groups; g = end) {
    for (end = g + 1; end < groups.n_groups && owner[end] == owner[g]; ++end) {
    }
    const std::int64_t low = groups.bounds[g], high = groups.bounds[end];
    if (!busy_day(groups.times + low, high - low, limit, days)) continue;
    std::fill(busy.begin() + g, busy.begin() + end, std::uint8_t{1});
    ++busy_owners;
  }
  return busy;
}

}  // namespace sessions

/// Fills groups.bounds, .rows and .times with the rows of each group, in their order.
/// \param[in] group  (log.n,) in [0, groups.n_groups)
inline void group_rows(const EventColumns& log, const std::int32_t* group, const GroupedRows& groups, int workers,
                       const Poll& poll = {}) {
  const std::int64_t n = log.n, n_groups = groups.n_groups;
  // A block costs a table of counts: no more of them than are worth that.
  const std::int64_t blocks = std::max<std::int64_t>(1, std::min<std::int64_t>(workers, n / std::max<std::int64_t>(1, n_groups)));
  std::vector<std::int64_t> cursors(static_cast<std::size_t>(blocks * n_groups));
  for_each_task(blocks, workers, [&](std::int64_t b) {
    std::int64_t* count = cursors.data() + b * n_groups;
    sessions::in_slices(n * b / blocks, n * (b + 1) / blocks, poll, [&](std::int64_t start, std::int64_t stop) {
      for (std::int64_t i = start; i < stop; ++i) ++count[group[i]];
    });
  });
  std::int64_t place = 0;
  for (std::int64_t g = 0; g < n_groups; ++g) {
    groups.bounds[g] = place;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t count = cursors[static_cast<std::size_t>(b * n_groups + g)];
      cursors[static_cast<std::size_t>(b * n_groups + g)] = place;
      place += count;
    }
  }
  groups.bounds[n_groups] = place;
  for_each_task(blocks, workers, [&](std::int64_t b) {
    std::int64_t* cursor = cursors.data() + b * n_groups;
    sessions::in_slices(n * b / blocks, n * (b + 1) / blocks, poll, [&](std::int64_t start, std::int64_t stop) {
      for (std::int64_t i = start; i < stop; ++i) {
        const std::int64_t to = cursor[group[i]]++;
        groups.rows[to] = i;
        if (groups.times) groups.times[to] = log.time[i];  // goes along: to fetch it later would be a read at random
      }
    });
  });
}

/// Sorts the rows of each group by (time, position), then as `ties` says; equal rows keep their order. A log without
/// times and positions keeps the order of its rows.
inline void sort_groups(const EventColumns& log, const TieOrder& ties, const GroupedRows& groups, int workers,
                        const Poll& poll = {}) {
  sessions::for_each_block(groups.bounds, groups.n_groups, workers, poll, [&](std::int64_t start, std::int64_t stop) {
    sessions::GroupSorter sorter(log, ties, sessions::longest_of(groups.bounds, start, stop));
    for (std::int64_t g = start; g < stop; ++g) {
      const std::int64_t low = groups.bounds[g];
      sorter.sort(g, groups.rows + low, groups.times ? groups.times + low : nullptr, groups.bounds[g + 1] - low);
    }
  });
}

/// Cuts the groups, sorted, and says in `state` (n,), of Fate, what became of each event.
/// \param[in] owner  (n_groups,) whose each group is, an owner's groups being neighbours; read with max_events_per_day
inline SessionCounts cut_groups(const EventColumns& log, const SessionRules& rules, const GroupedRows& groups,
                                const std::int32_t* owner, std::uint8_t* state, int workers, const Poll& poll = {}) {
  SessionCounts total;
  std::vector<std::uint8_t> busy;
  if (rules.max_events_per_day >= 0)
    busy = sessions::busy_groups(groups, owner, rules.max_events_per_day, total.busy_owners);
  std::mutex guard;
  sessions::for_each_block(groups.bounds, groups.n_groups, workers, poll, [&](std::int64_t start, std::int64_t stop) {
    sessions::GroupCutter cutter(log, rules, groups, state);
    for (std::int64_t g = start; g < stop; ++g)
      cutter.cut(groups.bounds[g], groups.bounds[g + 1], !busy.empty() && busy[static_cast<std::size_t>(g)]);
    const std::lock_guard<std::mutex> lock(guard);
    total.add(cutter.counts);
  });
  return total;
}

/// Closes the gaps that removed events leave in groups.rows and .times, in place.
/// \param[out] offsets        (sessions kept + 1,) where each begins
/// \param[out] session_owner  (sessions kept,) owner[g] of each one's group, or null
/// \return events kept that are equal in time and position to the one before them in their session
inline std::int64_t compact_sessions(const EventColumns& log, const GroupedRows& groups, const std::int32_t* owner,
                                     const std::uint8_t* state, std::int64_t* offsets, std::int32_t* session_owner) {
  std::int64_t *rows = groups.rows, *times = groups.times;
  std::int64_t out = 0, session = 0, tied = 0;
  for (std::int64_t g = 0; g < groups.n_groups; ++g)
    for (std::int64_t i = groups.bounds[g]; i < groups.bounds[g + 1]; ++i) {
      if (state[i] > kStarts) continue;
      rows[out] = rows[i];
      if (times) times[out] = times[i];
      if (state[i] == kStarts) {
        if (session_owner) session_owner[session] = owner[g];
        offsets[session++] = out;
      } else if (times ? times[out] == times[out - 1] : log.position != nullptr) {
        tied += !log.position || log.position[rows[out]] == log.position[rows[out - 1]];
      }
      ++out;
    }
  offsets[session] = out;
  return tied;
}

}  // namespace traitcore
