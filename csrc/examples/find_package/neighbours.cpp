// The three rows nearest to (1, 0), found by the headers that find_package(traitcore) found.
#include <traitcore/topk.hpp>
#include <traitcore/version.hpp>

#include <cstdint>
#include <iostream>
#include <vector>

int main() {
  const std::vector<float> query{1, 0}, rows{0, 1, 1, 0, 0.6f, 0.8f, 0.8f, 0.6f}, scale(4, 1), bias(4, 0);
  std::vector<std::int64_t> found(3);
  std::vector<float> scores(3);
  traitcore::search_top_k({query.data(), 1, rows.data(), 2, 0, 4, scale.data(), bias.data(), nullptr, nullptr, 3},
                          {scores.data(), found.data()});
  std::cout << "traitcore " << TRAITCORE_VERSION << ":";
  for (int i = 0; i < 3; ++i) std::cout << ' ' << found[static_cast<std::size_t>(i)];
  std::cout << '\n';
}
