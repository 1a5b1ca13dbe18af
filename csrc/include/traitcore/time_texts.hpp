// Numbers and times written as text: decimals, ISO 8601, and formats such as %d.%m.%Y %H:%M.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace traitcore {

enum TextStatus : std::uint8_t { kFine = 0, kEmpty = 1, kWrong = 2, kTime = 3 };

constexpr std::int64_t kNoTime = std::numeric_limits<std::int64_t>::min();

/// The characters [at, stop) that are still to be read.
struct TextSpan {
  const unsigned char* at;
  const unsigned char* stop;

  bool empty() const { return at == stop; }
  int peek() const { return at < stop ? *at : -1; }
  bool take(int c) {
    if (peek() != c) return false;
    ++at;
    return true;
  }
  bool digit() const { return at < stop && *at >= '0' && *at <= '9'; }
  void trim() {
    while (at < stop && blank(*at)) ++at;
    while (stop > at && blank(stop[-1])) --stop;
  }
  /// A number of low to high digits; -1 where there are fewer.
  int number(int low, int high) {
    int value = 0, n = 0;
    for (; n < high && digit(); ++n, ++at) value = value * 10 + (*at - '0');
    return n < low ? -1 : value;
  }
  static bool blank(unsigned char c) { return c == ' ' || c == '\t'; }
};

namespace detail {

/// The exponent at the end of a number, e+09 say, applied to the digits before it, of which `places` follow the point:
/// a whole number of up to 2^53, which a double holds too; -1 where it is another or there is no exponent.
inline std::int64_t with_exponent(TextSpan text, std::int64_t digits, int places) {
  if (!text.take('e') && !text.take('E')) return -1;
  const bool minus = text.take('-');
  if (!minus) text.take('+');
  const int exponent = text.number(1, 3);
  if (exponent < 0 || !text.empty()) return -1;
  int shift = (minus ? -exponent : exponent) - places;
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  for (; shift > 0 && digits <= kMost && digits > 0; --shift) digits *= 10;
  for (; shift < 0 && digits % 10 == 0 && digits > 0; ++shift) digits /= 10;
  return digits <= kMost && (shift == 0 || digits == 0) ? digits : -1;
}

}  // namespace detail

/// -12 or 1430623510.25, blanks around allowed, as whole (towards zero) and billionths; digits after the ninth are cut.
/// `point` is the decimal separator.
inline TextStatus parse_decimal(TextSpan text, char point, std::int64_t& whole, std::int64_t& billionths,
                                bool exponents = false) {
  whole = billionths = 0;
  text.trim();
  if (text.empty()) return kEmpty;
  const bool negative = text.take('-');
  std::int64_t value = 0, fraction = 0, scale = 1'000'000'000;
  bool digits = false;
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (; text.digit(); ++text.at, digits = true) {
    const int digit = *text.at - '0';
    if (value > (kMost - digit) / 10) return kWrong;
    value = value * 10 + digit;
  }
  int places = 0;
  if (text.take(point))
    for (; text.digit(); ++text.at, ++places, digits = true) {
      scale /= 10;
      fraction += (*text.at - '0') * scale;
    }
  if (exponents && digits && !text.empty() && places <= 9 && value < 1'000'000'000) {
    const std::int64_t all = (value * 1'000'000'000 + fraction) / scale;
    value = detail::with_exponent(text, all, places);
    if (value < 0) return kWrong;
    fraction = 0;
    text.at = text.stop;
  }
  if (!digits || !text.empty()) return kWrong;
  whole = negative ? -value : value;
  billionths = negative ? -fraction : fraction;
  return kFine;
}

/// `parse_decimal`, and with an exponent, 1.43062351E+09, whole numbers of up to 2^53.
inline TextStatus parse_number(TextSpan text, char point, std::int64_t& whole, std::int64_t& billionths) {
  return parse_decimal(text, point, whole, billionths, true);
}

/// Days since 1970-01-01 of a date, kNoTime where there is none. Civil calendar after Hinnant 2013.
inline std::int64_t days_of(int year, int month, int day) {
  if (year < 1 || month < 1 || month > 12 || day < 1) return kNoTime;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  const int longest = month == 2 ? 28 + leap : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
  if (day > longest) return kNoTime;
  const std::int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

namespace detail {

/// Days since 1970 of the Monday of week 1, that of 4 January.
inline std::int64_t first_monday(int year) {
  const std::int64_t fourth = days_of(year, 1, 4);
  return fourth - ((fourth + 3) % 7 + 7) % 7;  // 1970 began on a Thursday
}

/// Days since 1970 of a day (1: Monday) of a week of ISO 8601 of the years 1 to 9998, kNoTime where there is none.
inline std::int64_t days_of_week(int year, int week, int day) {
  if (year < 1 || year > 9998 || week < 1 || day < 1 || day > 7) return kNoTime;
  const std::int64_t monday = first_monday(year) + 7 * (week - 1);
  return monday < first_monday(year + 1) ? monday + day - 1 : kNoTime;
}

/// The digits of a fraction as microseconds, those after the sixth cut; -1 where there is none.
inline std::int64_t microseconds(TextSpan& text) {
  if (!text.digit()) return -1;
  std::int64_t value = 0, scale = 1'000'000;
  for (; text.digit(); ++text.at) {
    scale /= 10;
    value += (*text.at - '0') * scale;
  }
  return value;
}

/// Z, UTC, GMT or an offset +HH[[:]MM], as microseconds to subtract; kNoTime where it is none of these.
inline std::int64_t zone(TextSpan& text) {
  if (text.take('Z') || text.take('z')) return 0;
  if (text.stop - text.at >= 3 && (std::memcmp(text.at, "UTC", 3) == 0 || std::memcmp(text.at, "GMT", 3) == 0)) {
    text.at += 3;
    return 0;
  }
  const bool minus = text.peek() == '-';
  if (!text.take('-') && !text.take('+')) return kNoTime;
  const int hours = text.number(2, 2);
  int minutes = 0;
  if (text.peek() == ':' || text.digit()) {
    text.take(':');
    minutes = text.number(2, 2);
  }
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return kNoTime;
  const std::int64_t offset = (hours * 60 + minutes) * std::int64_t{60'000'000};
  return minus ? -offset : offset;
}

/// Days since 1970 of a date of ISO 8601 at the text's beginning, kNoTime where there is none; `usual`: is it YYYY-MM-DD?
inline std::int64_t iso_date(TextSpan& text, bool& usual) {
  const int year = text.number(4, 4);
  const bool dashes = text.take('-');
  usual = false;
  if (text.take('W')) {
    const int week = text.number(2, 2);
    const bool with_day = dashes ? text.take('-') : text.digit();
    return days_of_week(year, week, with_day ? text.number(1, 1) : 1);
  }
  usual = dashes;
  const int month = text.number(2, 2);
  if (dashes && !text.take('-')) return kNoTime;
  return days_of(year, month, text.number(2, 2));
}

/// A name of three letters or in full, as its number from 1; 0 for none.
inline int name_of(TextSpan& text, const char* const* names, int n) {
  for (int i = 0; i < n; ++i) {
    const auto length = static_cast<std::ptrdiff_t>(std::strlen(names[i]));
    for (const std::ptrdiff_t wanted : {length, std::ptrdiff_t{3}}) {
      if (text.stop - text.at < wanted) continue;
      std::ptrdiff_t same = 0;
      while (same < wanted && (text.at[same] | 32) == names[i][same]) ++same;
      if (same < wanted) continue;
      text.at += wanted;
      return i + 1;
    }
  }
  return 0;
}

inline bool put(int value, int& part) {
  part = value;
  return value >= 0;
}

}  // namespace detail

/// A date or a date and time of ISO 8601 as microseconds since 1970 UTC; without a zone: UTC.
///
/// Dates are YYYY-MM-DD, YYYYMMDD, YYYY-Www[-D] or YYYYWww[D]; after a T or a blank come HH[:MM[:SS[.fraction]]] or
/// HH[MM[SS[.fraction]]], and Z or an offset. Blanks around it are allowed; after YYYY-MM-DD HH:MM also before the zone,
/// which may be UTC or GMT there: many systems write so.
inline TextStatus parse_iso_time(TextSpan text, std::int64_t& us) {
  us = 0;
  text.trim();
  if (text.empty()) return kEmpty;
  bool usual = false;
  const std::int64_t days = detail::iso_date(text, usual);
  if (days == kNoTime) return kWrong;
  std::int64_t value = days * 86'400'000'000;
  if (!text.empty()) {
    if (!text.take('T') && !text.take(' ')) return kWrong;
    const int hour = text.number(2, 2);
    const bool colons = text.peek() == ':';
    const auto goes_on = [&] { return colons ? text.take(':') : text.digit(); };
    int minute = 0, second = 0;
    std::int64_t fraction = 0;
    if (goes_on()) {
      minute = text.number(2, 2);
      if (goes_on()) {
        second = text.number(2, 2);
        if (text.take('.') || text.take(',')) fraction = detail::microseconds(text);
      }
    }
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || fraction < 0) return kWrong;
    value += ((hour * 60 + minute) * 60 + second) * std::int64_t{1'000'000} + fraction;
    if (!text.empty()) {
      if (usual && colons)
        text.trim();
      else if (text.peek() != 'Z' && text.peek() != '+' && text.peek() != '-')
        return kWrong;
      const std::int64_t offset = detail::zone(text);
      if (offset == kNoTime || !text.empty()) return kWrong;
      value -= offset;
    }
  }
  us = value;
  return kFine;
}

/// A number as `parse_number` has it, or else a time of ISO 8601, whose microseconds are `whole`: kFine or kTime.
inline TextStatus parse_number_or_time(TextSpan text, char point, std::int64_t& whole, std::int64_t& billionths) {
  const TextStatus number = parse_number(text, point, whole, billionths);
  if (number != kWrong) return number;
  billionths = 0;
  return parse_iso_time(text, whole) == kFine ? kTime : kWrong;
}

/// A time in a format of strptime's directives %Y %y %m %d %H %I %p %M %S %f %b %B %a %A %z %Z %%, as microseconds since
/// 1970 UTC; a number may have fewer digits than usual, blanks around are allowed, and what the format doesn't give is
/// 1970-01-01 00:00 UTC. %f takes any number of digits.
inline TextStatus parse_formatted_time(TextSpan text, const std::string& format, std::int64_t& us) {
  static const char* const kMonths[] = {"january", "february", "march",     "april",   "may",      "june",
                                        "july",    "august",   "september", "october", "november", "december"};
  static const char* const kDays[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
  us = 0;
  text.trim();
  if (text.empty()) return kEmpty;
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0, half = -1;
  std::int64_t fraction = 0, offset = 0;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      if (!text.take(static_cast<unsigned char>(format[i]))) return kWrong;
      continue;
    }
    bool good = true;
    switch (format[++i]) {
      case 'Y': good = detail::put(text.number(4, 4), year); break;
      case 'y':
        good = detail::put(text.number(2, 2), year);
        year += year < 69 ? 2000 : 1900;  // as POSIX has it
        break;
      case 'm': good = detail::put(text.number(1, 2), month); break;
      case 'd': good = detail::put(text.number(1, 2), day); break;
      case 'H': good = detail::put(text.number(1, 2), hour) && hour < 24; break;
      case 'I': good = detail::put(text.number(1, 2), hour) && hour >= 1 && hour <= 12; break;
      case 'M': good = detail::put(text.number(1, 2), minute) && minute < 60; break;
      case 'S': good = detail::put(text.number(1, 2), second) && second < 60; break;
      case 'f': good = (fraction = detail::microseconds(text)) >= 0; break;
      case 'b':
      case 'B': good = (month = detail::name_of(text, kMonths, 12)) > 0; break;
      case 'a':
      case 'A': good = detail::name_of(text, kDays, 7) > 0; break;
      case 'z':
      case 'Z': good = (offset = detail::zone(text)) != kNoTime; break;
      case 'p': {
        const int c = text.peek() | 32;
        good = c == 'a' || c == 'p';
        if (good) half = c == 'p';
        if (good) ++text.at;
        good = good && (text.take('m') || text.take('M'));
        break;
      }
      default: good = format[i] == '%' && text.take('%');
    }
    if (!good) return kWrong;
  }
  if (!text.empty()) return kWrong;
  if (half >= 0) {
    if (hour < 1 || hour > 12) return kWrong;
    hour = hour % 12 + 12 * half;
  }
  const std::int64_t days = days_of(year, month, day);
  if (days == kNoTime) return kWrong;
  us = days * 86'400'000'000 + ((hour * 60 + minute) * 60 + second) * std::int64_t{1'000'000} + fraction - offset;
  return kFine;
}

}  // namespace traitcore
