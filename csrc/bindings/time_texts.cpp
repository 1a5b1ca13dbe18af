// Numbers and times written as text: see time_texts.hpp.
#include "bindings.hpp"

#include <traitcore/time_texts.hpp>

namespace traitcore_bindings {
namespace {

using traitcore::TextSpan;

/// parse(span, row) for the spans of a buffer, and its status; the spans must lie in the buffer.
template <class Parse>
void parse_spans(const Caller& of, Arg buffer, Arg starts, Arg stops, Arg status, const Parse& parse) {
  const auto bytes = of.array<const std::uint8_t>("buffer", buffer, {{"bytes"}});
  const auto first = of.array<const std::int64_t>("starts", starts, {{"n"}});
  const std::int64_t n = first.shape[0];
  const auto end = of.array<const std::int64_t>("stops", stops, {{"length of starts", n}});
  const auto state = of.array<std::uint8_t>("status", status, {{"length of starts", n}});
  for (std::int64_t i = 0; i < n; ++i)
    if (first.data[i] < 0 || first.data[i] > end.data[i] || end.data[i] > bytes.shape[0])
      of.refuse("starts", "places in the buffer, not after their stops", std::to_string(first.data[i]));
  without_gil([&] {
    for (std::int64_t i = 0; i < n; ++i)
      state.data[i] = parse(TextSpan{bytes.data + first.data[i], bytes.data + end.data[i]}, i);
  });
}

using ParseNumber = traitcore::TextStatus (*)(TextSpan, char, std::int64_t&, std::int64_t&);

ParseNumber reader_of(const Caller& of, const std::string& reads) {
  if (reads == "digits")
    return [](TextSpan text, char point, std::int64_t& whole, std::int64_t& billionths) {
      return traitcore::parse_decimal(text, point, whole, billionths);
    };
  if (reads == "numbers") return traitcore::parse_number;
  if (reads == "numbers or times") return traitcore::parse_number_or_time;
  of.refuse("reads", "'digits', 'numbers' or 'numbers or times'", reads);
}

void parse_numbers(Arg buffer, Arg starts, Arg stops, const std::string& point, const std::string& reads, Arg whole,
                   Arg billionths, Arg status) {
  const Caller of("parse_numbers");
  if (point.size() != 1) of.refuse("point", "one character", point);
  const std::int64_t n = of.array<const std::int64_t>("starts", starts, {{"n"}}).shape[0];
  const auto units = of.array<std::int64_t>("whole", whole, {{"length of starts", n}});
  const auto parts = of.array<std::int64_t>("billionths", billionths, {{"length of starts", n}});
  const ParseNumber parse = reader_of(of, reads);
  parse_spans(of, buffer, starts, stops, status,
              [&](TextSpan text, std::int64_t i) { return parse(text, point[0], units.data[i], parts.data[i]); });
}

void parse_times(Arg buffer, Arg starts, Arg stops, const std::string& format, Arg us, Arg status) {
  const Caller of("parse_times");
  const std::int64_t n = of.array<const std::int64_t>("starts", starts, {{"n"}}).shape[0];
  const auto out = of.array<std::int64_t>("us", us, {{"length of starts", n}});
  parse_spans(of, buffer, starts, stops, status, [&](TextSpan text, std::int64_t i) {
    return format.empty() ? traitcore::parse_iso_time(text, out.data[i])
                          : traitcore::parse_formatted_time(text, format, out.data[i]);
  });
}

}  // namespace

void bind_time_texts(py::module_& m) {
  define(m, "parse_numbers", &parse_numbers,
         "Spans [starts, stops) of buffer uint8 as numbers: whole and billionths (n,) int64, status (n,) uint8 (0 fine, 1 "
         "empty, 2 wrong). `point` is the decimal separator. `reads`: \"digits\", \"numbers\", with exponents too, or "
         "\"numbers or times\": of ISO 8601, as microseconds since 1970 UTC in `whole` (status 3).",
         "buffer", "starts", "stops", "point", "reads", "whole", "billionths", "status");
  define(m, "parse_times", &parse_times,
         "Spans [starts, stops) of buffer uint8 as times: us (n,) int64 since 1970 UTC, status (n,) uint8 (0 fine, 1 "
         "empty, 2 wrong). `format`: strptime's directives, or \"\" for ISO 8601.",
         "buffer", "starts", "stops", "format", "us", "status");
}

}  // namespace traitcore_bindings
