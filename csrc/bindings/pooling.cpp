// Pooling of token vectors, and what events weigh in it: see pooling.hpp, event_weights.hpp.
#include "bindings.hpp"

#include <traitcore/event_weights.hpp>
#include <traitcore/pooling.hpp>

namespace traitcore_bindings {
namespace {

void pool(Arg start, Arg stop, Arg first, Arg starts, Arg stops, Arg tokens, Arg vectors, Arg token_weights,
          Arg event_weights, Arg pooled, Arg mass, Arg known, Arg stopped) {
  const Caller of("pool_owners");
  const auto v = of.array<const float>("vectors", vectors, {{"n_tokens"}, {"d"}});
  const auto out = of.array<float>("pooled", pooled, {{"n_owners"}, {"columns of vectors", v.shape[1]}});
  const std::int64_t n = out.shape[0];
  const Axis owners{"rows of pooled", n};
  const auto events = of.array<const std::int32_t>("tokens", tokens, {{"events"}});
  const std::int64_t n_events = events.shape[0];
  const auto runs = of.array<const std::int64_t>("starts", starts, {{"runs"}});
  const auto end = of.integer("stop", stop, 0, n), begin = of.integer("start", start, 0, end);
  const auto* by_token = of.data_or_null<const float>("token_weights", token_weights, {{"n_tokens", v.shape[0]}});
  const auto* by_event = of.data_or_null<const float>("event_weights", event_weights, {{"length of tokens", n_events}});
  const auto run_stops = of.array<const std::int64_t>("stops", stops, {{"length of starts", runs.shape[0]}});
  const auto runs_of = of.array<const std::int64_t>("first", first, {{"rows of pooled + 1", n + 1}});
  const auto* stop_flag = of.data_or_null<const std::uint8_t>("stopped", stopped, {{"1", 1}});
  const std::function<void()> between = [&] {
    if (stop_flag && *static_cast<const volatile std::uint8_t*>(stop_flag)) throw std::runtime_error("interrupted");
    poll();
  };
  const bool one = end - begin == 1;  // one of very many events, perhaps; many owners are cut by the caller
  const traitcore::Pooling p{runs_of.data, runs.data, run_stops.data, events.data, n_events,
                             v.data,       v.shape[1], by_token,      by_event,    one ? &between : nullptr};
  double* masses = of.array<double>("mass", mass, {owners}).data;
  std::int64_t* counts = of.array<std::int64_t>("known", known, {owners}).data;
  py::gil_scoped_release release;
  traitcore::pool_owners(p, begin, end, out.data, masses, counts);
}

/// Owners [start, stop) and their runs of events, which are trusted.
struct Owners {
  Owners(const Caller& of, Arg start, Arg stop, Arg first, Arg starts, Arg stops) {
    const auto runs_of = of.array<const std::int64_t>("first", first, {{"owners + 1"}});
    of.require(runs_of.shape[0] >= 1, "first", "of length owners + 1", runs_of.shape[0]);
    end = of.integer("stop", stop, 0, runs_of.shape[0] - 1), begin = of.integer("start", start, 0, end);
    const auto run_starts = of.array<const std::int64_t>("starts", starts, {{"runs"}});
    const Axis length{"length of starts", run_starts.shape[0]};
    runs = {runs_of.data, run_starts.data, of.array<const std::int64_t>("stops", stops, {length}).data};
  }
  std::int64_t begin, end;
  traitcore::OwnerRuns runs;
};

void by_position(Arg start, Arg stop, Arg first, Arg starts, Arg stops, double decay, Arg out) {
  const Caller of("position_weights");
  const Owners owners(of, start, stop, first, starts, stops);
  float* weights = of.array<float>("out", out, {{"events"}}).data;
  without_gil([&] { traitcore::position_weights(owners.runs, owners.begin, owners.end, decay, weights); });
}

void by_age(Arg start, Arg stop, Arg first, Arg starts, Arg stops, Arg tokens, Arg token_weights, Arg times_us,
            double half_life_us, Arg out) {
  const Caller of("age_weights");
  const Owners owners(of, start, stop, first, starts, stops);
  const auto events = of.array<const std::int32_t>("tokens", tokens, {{"events"}});
  const Axis length{"length of tokens", events.shape[0]};
  const float* by_token = of.array<const float>("token_weights", token_weights, {{"n_tokens"}}).data;
  const auto* times = of.array<const std::int64_t>("times_us", times_us, {length}).data;
  float* weights = of.array<float>("out", out, {length}).data;
  without_gil([&] {
    traitcore::age_weights(owners.runs, owners.begin, owners.end, events.data, by_token, times, half_life_us, weights);
  });
}

}  // namespace

void bind_pooling(py::module_& m) {
  define(m, "position_weights", &by_position,
         "out float32 (events,) = decay ** (events of the owner after it), for owners [start, stop) of these runs.", "start",
         "stop", "first", "starts", "stops", "decay", "out");
  define(m, "age_weights", &by_age,
         "out float32 (events,) = 2 ** -(age / half life), for owners [start, stop); age is counted from the owner's newest "
         "event of a token that weighs anything, and events of the others weigh nothing.",
         "start", "stop", "first", "starts", "stops", "tokens", "token_weights", "times_us", "half_life_us", "out");
  define(m, "pool_owners", &pool,
         "Weighted means of vectors (n_tokens, d) float32 over the events of owners [start, stop), into pooled "
         "(n_owners, d) float32, with mass (n_owners,) float64 and known (n_owners,) int64. Owner o's events are the "
         "runs [starts[r], stops[r]) of tokens int32, r in [first[o], first[o + 1]); weights are float32 by token, by "
         "event, their product, or None: all 1. Runs and tokens are trusted. Ctrl-C, and another thread that sets stopped "
         "(1,) uint8 (or None), end the passes over a single owner.",
         "start", "stop", "first", "starts", "stops", "tokens", "vectors", "token_weights", "event_weights", "pooled",
         "mass", "known", "stopped");
}

}  // namespace traitcore_bindings
