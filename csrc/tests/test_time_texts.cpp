#include <traitcore/time_texts.hpp>

#include <string>

#include "check.hpp"

namespace tc = traitcore;

namespace {

tc::TextSpan span(const std::string& text) {
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  return {data, data + text.size()};
}

void days_follow_one_another() {
  static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  std::int64_t expected = tc::days_of(1600, 1, 1);
  for (int year = 1600; year < 2400; ++year) {
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    for (int month = 1; month <= 12; ++month) {
      const int days = lengths[month - 1] + (leap && month == 2);
      for (int day = 1; day <= days; ++day) CHECK(tc::days_of(year, month, day) == expected++);
      CHECK(tc::days_of(year, month, days + 1) == tc::kNoTime);
    }
  }
  CHECK(tc::days_of(1970, 1, 1) == 0);
}

void weeks_follow_one_another() {
  std::int64_t expected = tc::detail::days_of_week(1600, 1, 1);
  CHECK(tc::detail::days_of_week(1970, 1, 4) == 0);
  for (int year = 1600; year < 2400; ++year)
    for (int week = 1; week <= 53; ++week)
      for (int day = 1; day <= 7; ++day) {
        const std::int64_t days = tc::detail::days_of_week(year, week, day);
        if (week < 53 || days != tc::kNoTime) CHECK(days == expected++);
      }
}

void every_prefix_of_a_time_is_read_within_its_bounds() {
  const std::string iso = "2019-10-01 12:34:56.789 +02:00", other = "Tue 1 Oct 2019 1:02:03 PM";
  const std::string basic = "20191001T123456.789+0200", week = "2019-W40-2T12";
  std::int64_t us = 0, part = 0;
  for (std::size_t n = 0; n <= iso.size(); ++n) {
    const std::string text(iso, 0, n);  // of its own, so that the sanitizer sees a read past its end
    tc::parse_iso_time(span(text), us);
    tc::parse_decimal(span(text), '.', us, part);
    tc::parse_formatted_time(span(text), "%Y-%m-%d %H:%M:%S.%f %z", us);
  }
  for (const std::string& whole : {basic, week})
    for (std::size_t n = 0; n <= whole.size(); ++n) {
      const std::string text(whole, 0, n);
      tc::parse_number_or_time(span(text), '.', us, part);
    }
  for (std::size_t n = 0; n <= other.size(); ++n) {
    const std::string text(other, 0, n);
    const auto status = tc::parse_formatted_time(span(text), "%a %d %b %Y %I:%M:%S %p", us);
    CHECK((status == tc::kFine) == (n == other.size()));
  }
  CHECK(us == 1'569'934'923'000'000);
}

void the_largest_numbers() {
  std::int64_t whole = 0, part = 0;
  CHECK(tc::parse_decimal(span("9223372036854775807"), '.', whole, part) == tc::kFine && whole == INT64_MAX);
  CHECK(tc::parse_decimal(span("9223372036854775808"), '.', whole, part) == tc::kWrong);
  CHECK(tc::parse_decimal(span("-1,5"), ',', whole, part) == tc::kFine && whole == -1 && part == -500'000'000);
  for (const char* text : {"1e3", "12e2", "1E03", "1.5e1"}) {  // ids: no numbers unless exponents are asked for
    CHECK(tc::parse_decimal(span(text), '.', whole, part) == tc::kWrong);
    CHECK(tc::parse_number(span(text), '.', whole, part) == tc::kFine);
  }
}

}  // namespace

int main() {
  return run_tests({{"days follow one another", days_follow_one_another},
                    {"weeks follow one another", weeks_follow_one_another},
                    {"every prefix of a time is read within its bounds", every_prefix_of_a_time_is_read_within_its_bounds},
                    {"the largest numbers", the_largest_numbers}});
}
