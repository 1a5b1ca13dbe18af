// A test is a function that throws; main() runs them all and says which failed.
#pragma once
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#define CHECK(condition)                                                                                       \
  do {                                                                                                         \
    if (!(condition)) throw std::runtime_error(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #condition); \
  } while (false)

template <class Error, class Call>
void check_throws(const Call& call) {
  try {
    call();
  } catch (const Error&) {
    return;
  }
  throw std::runtime_error("the expected error was not thrown");
}

struct Test {
  const char* name;
  void (*run)();
};

template <int N>
int run_tests(const Test (&tests)[N]) {
  int failed = 0;
  for (const Test& test : tests) {
    try {
      test.run();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "FAILED %s: %s\n", test.name, error.what());
      ++failed;
    }
  }
  std::printf("%d of %d tests passed\n", N - failed, N);
  return failed ? 1 : 0;
}
