// Integer ids as codes, and hashes of ids: see codes.hpp, hashes.hpp.
#include "bindings.hpp"

#include <traitcore/codes.hpp>
#include <traitcore/hashes.hpp>

namespace traitcore_bindings {
namespace {

using namespace traitcore;

constexpr std::int64_t kBetweenSignals = std::int64_t{1} << 22;

py::array_t<std::int64_t> copied(const std::vector<std::int64_t>& values) {
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::tuple by_value(Arg values, Arg low, Arg high) {
  const Caller of("code_by_value");
  const auto given = of.array<const std::int64_t>("values", values, {{"n"}});
  const auto least = of.integer("low", low, std::numeric_limits<std::int64_t>::min());
  const auto most = of.integer("high", high, least);
  py::array_t<std::int32_t> codes(given.shape[0]);
  auto* out = codes.mutable_data();
  const auto distinct =
      without_gil([&] { return code_by_value(given.data, given.shape[0], least, most, out); });
  return py::make_tuple(codes, copied(distinct));
}

py::array_t<std::int32_t> by_first_sight(IntegerCodes& table, Arg values) {
  const auto given = Caller("IntegerCodes.code").array<const std::int64_t>("values", values, {{"n"}});
  const std::int64_t n = given.shape[0];
  py::array_t<std::int32_t> codes(n);
  auto* out = codes.mutable_data();
  without_gil([&] {
    for (std::int64_t i = 0; i < n; i += kBetweenSignals) {
      if (i > 0) poll();
      table.code(given.data + i, std::min(kBetweenSignals, n - i), out + i);
    }
  });
  return codes;
}

void remap(Arg start, Arg stop, Arg codes, Arg rank) {
  const Caller of("remap_codes");
  const auto out = of.array<std::int32_t>("codes", codes, {{"n"}});
  const auto to = of.array<const std::int32_t>("rank", rank, {{"codes"}});
  const auto end = of.integer("stop", stop, 0, out.shape[0]), begin = of.integer("start", start, 0, end);
  without_gil([&] { remap_codes(begin, end, out.data, to.data); });
}

py::array_t<std::uint64_t> hash_texts(Arg buffer, Arg ends) {
  const Caller of("hash_texts");
  const auto bytes = of.array<const std::uint8_t>("buffer", buffer, {{"bytes"}});
  const auto end = of.array<const std::int64_t>("ends", ends, {{"n + 1"}});
  const std::int64_t n = end.shape[0] - 1;
  of.require(n >= 0 && end.data[0] >= 0, "ends", "n + 1 places", n + 1);
  for (std::int64_t i = 0; i < n; ++i)
    of.require(end.data[i] <= end.data[i + 1] && end.data[i + 1] <= bytes.shape[0], "ends", "rising, within the buffer",
               end.data[i + 1]);
  py::array_t<std::uint64_t> hashes(n);
  auto* out = hashes.mutable_data();
  without_gil([&] {
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = hash_bytes(bytes.data + end.data[i], static_cast<std::size_t>(end.data[i + 1] - end.data[i]));
  });
  return hashes;
}

py::array_t<std::uint64_t> chain_hashes(Arg first, Arg second) {
  const Caller of("chain_hashes");
  const auto a = of.array<const std::uint64_t>("first", first, {{"n"}});
  const auto b = of.array<const std::uint64_t>("second", second, {{"length of first", a.shape[0]}});
  py::array_t<std::uint64_t> hashes(a.shape[0]);
  auto* out = hashes.mutable_data();
  without_gil([&] {
    for (std::int64_t i = 0; i < a.shape[0]; ++i) out[i] = chain_hash(mix64(a.data[i]), b.data[i]);
  });
  return hashes;
}

}  // namespace

void bind_codes(py::module_& m) {
  define(m, "code_by_value", &by_value,
         "(codes int32 (n,), distinct values int64, rising) of values int64 (n,) in [low, high], which are trusted to be.",
         "values", "low", "high");
  py::class_<IntegerCodes>(m, "IntegerCodes", "Codes of int64 values by order of first sight, a block at a time.")
      .def(py::init<>())
      .def("code", &by_first_sight, py::arg("values"), "(n,) int32 codes of values int64 (n,).")
      .def("distinct", [](const IntegerCodes& table) { return copied(table.distinct()); }, "int64 value of each code.");
  define(m, "remap_codes", &remap,
         "codes int32 at [start, stop) = rank int32 of each, in place; codes below 0 stay.", "start", "stop", "codes", "rank");
  define(m, "hash_texts", &hash_texts, "FNV-1a, uint64 (n,), of the bytes [ends[i], ends[i + 1]) of buffer uint8.", "buffer",
         "ends");
  define(m, "chain_hashes", &chain_hashes, "Hash, uint64 (n,), of each value of first uint64 (n,) followed by second's.",
         "first", "second");
}

}  // namespace traitcore_bindings
