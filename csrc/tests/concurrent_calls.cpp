// Four threads in every function of the C interface at once, on the same inputs: built by run.sh with ThreadSanitizer.
// Their answers are those of one thread alone.
#include "../c_api/c_api.cpp"

#include <thread>

#include "check.hpp"

namespace {

struct Answers {
  std::vector<float> items, scores, weights, pooled;
  std::vector<std::int64_t> rows;
  std::int32_t codes[5] = {};
};

Answers all_kernels(const std::vector<std::int32_t>& tokens, const std::vector<std::int64_t>& offsets,
                    const std::vector<float>& table) {
  constexpr std::int64_t n = 40, d = 12, k = 5;
  const auto m = static_cast<std::int64_t>(offsets.size()) - 1;
  Answers a;
  a.items.resize(n * d), a.scores.resize(n * k), a.rows.resize(n * k), a.weights.resize(n * 3);
  a.pooled.resize(static_cast<std::size_t>(m * d));
  a.codes[0] = traitcore_train_sgns(tokens.data(), offsets.data(), m, n, d, 3, 4, 2, 0.05, 0, 0.75, 7, 1,
                                    a.items.data(), nullptr, nullptr);
  a.codes[1] = traitcore_top_k(table.data(), n, table.data(), n, d, k, TRAITCORE_COSINE, 2, a.rows.data(),
                               a.scores.data());
  a.codes[2] = traitcore_fold_in(table.data(), n, d, table.data(), 3, 1e-6, 100, 2, a.weights.data());
  a.codes[3] = traitcore_pool(tokens.data(), offsets.data(), m, table.data(), n, d, nullptr, a.pooled.data());
  a.codes[4] = traitcore_top_k(table.data(), n, table.data(), n, d, 0, TRAITCORE_DOT, 1, a.rows.data(), a.scores.data());
  return a;
}

void answers_together_are_those_alone() {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
  std::vector<float> table;
  for (int i = 0; i < 600; ++i) {
    tokens.push_back((i * 7 + i / 5) % 40);
    if (i % 6 == 5) offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  for (int i = 0; i < 40 * 12; ++i) table.push_back(static_cast<float>((i * 37) % 101 - 50) / 50);
  const Answers alone = all_kernels(tokens, offsets, table);
  std::vector<Answers> together(4);
  std::vector<std::thread> threads;
  for (auto& answers : together) threads.emplace_back([&] { answers = all_kernels(tokens, offsets, table); });
  for (auto& thread : threads) thread.join();
  for (const auto& answers : together) {
    for (int i = 0; i < 4; ++i) CHECK(answers.codes[i] == TRAITCORE_OK);
    CHECK(answers.codes[4] == TRAITCORE_BAD_ARGUMENT);
    CHECK(answers.items == alone.items && answers.rows == alone.rows && answers.scores == alone.scores);
    CHECK(answers.weights == alone.weights && answers.pooled == alone.pooled);
  }
}

}  // namespace

int main() {
  return run_tests({{"answers together are those alone", answers_together_are_those_alone}});
}
