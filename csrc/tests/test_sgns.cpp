#include <traitcore/sgns.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "check.hpp"

namespace tc = traitcore;

namespace {

struct Corpus {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int64_t> counts;
  tc::SequenceView view() const {
    return {tokens.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1};
  }
};

// Items 10c ... 10c + 9 occur together, ten clusters.
Corpus clusters(int n_sequences) {
  Corpus corpus;
  corpus.counts.assign(100, 0);
  tc::CounterRng rng(7, 1);
  for (int s = 0; s < n_sequences; ++s) {
    const std::uint32_t home = rng.below(10), length = 1 + rng.below(12);
    for (std::uint32_t i = 0; i < length; ++i) corpus.tokens.push_back(static_cast<std::int32_t>(10 * home + rng.below(10)));
    corpus.offsets.push_back(static_cast<std::int64_t>(corpus.tokens.size()));
  }
  for (const auto token : corpus.tokens) ++corpus.counts[static_cast<std::size_t>(token)];
  return corpus;
}

tc::SgnsOptions options(std::size_t vector_size = 32) {
  tc::SgnsOptions o;
  o.vector_size = vector_size;
  o.sample = 0;
  o.seed = 3;
  o.reproducible = false;  // test_sgns_lanes.cpp tests that
  return o;
}

tc::SgnsBlock block(const Corpus& corpus, std::uint64_t epoch = 0) {
  tc::SgnsBlock b;
  b.sequences = corpus.view();
  b.epoch = epoch;
  return b;
}

std::vector<tc::SimdLevel> levels() {
  std::vector<tc::SimdLevel> all;
  for (int i = 0; i <= static_cast<int>(tc::detected_simd_level()); ++i) all.push_back(static_cast<tc::SimdLevel>(i));
  return all;
}

void every_level_gives_the_same() {
  const Corpus corpus = clusters(200);
  for (const std::size_t d : {1u, 16u, 40u, 64u, 128u})
    for (const int negative : {1, 5, 8, 13})
      for (const bool shared : {true, false}) {
        auto o = options(d);
        o.negative = negative;
        o.shared = shared;
        std::vector<float> first;
        double first_loss = 0;
        for (const auto level : levels()) {
          tc::set_simd_level(level);
          tc::SgnsModel model(o, corpus.counts.data(), 100);
          const auto stats = model.train(block(corpus), 1);
          model.items().compact();
          const std::vector<float> now(model.items().data(), model.items().data() + 100 * d);
          if (level == tc::SimdLevel::baseline) {
            first = now;
            first_loss = stats.loss;
          }
          for (std::size_t i = 0; i < now.size(); ++i) CHECK(std::fabs(now[i] - first[i]) < 1e-5f);
          CHECK(std::fabs(stats.loss - first_loss) < 1e-5 * first_loss);
        }
        tc::reset_simd_level();
      }
}

double mean_cosine_within(tc::SgnsModel& model) {
  double sum = 0;
  int n = 0;
  for (std::size_t a = 0; a < 100; ++a)
    for (std::size_t b = a / 10 * 10; b < a; ++b) {
      double ab = 0, aa = 0, bb = 0;
      for (std::size_t k = 0; k < model.items().columns(); ++k) {
        const double x = model.items().row(a)[k], y = model.items().row(b)[k];
        ab += x * y, aa += x * x, bb += y * y;
      }
      sum += ab / std::sqrt(aa * bb);
      ++n;
    }
  return sum / n;
}

void threads_learn_the_clusters() {
  const Corpus corpus = clusters(4000);
  for (const auto level : levels()) {
    tc::set_simd_level(level);
    for (const bool shared : {true, false}) {
      auto o = options();
      o.shared = shared;
      tc::SgnsModel model(o, corpus.counts.data(), 100);
      for (std::uint64_t epoch = 0; epoch < 3; ++epoch) model.train(block(corpus, epoch), 3);
      CHECK(mean_cosine_within(model) > 0.8);
    }
  }
  tc::reset_simd_level();
}

void one_thread_repeats_itself_and_evaluation_changes_nothing() {
  const Corpus corpus = clusters(3000);
  tc::SgnsModel a(options(), corpus.counts.data(), 100), b(options(), corpus.counts.data(), 100);
  a.train(block(corpus), 1);
  b.train(block(corpus), 1);
  const auto before = b.train(block(corpus, 9), 1, false);
  const auto again = b.train(block(corpus, 9), 1, false);
  CHECK(before.loss == again.loss && before.pairs > 0);
  for (std::size_t i = 0; i < 100; ++i)
    for (std::size_t k = 0; k < 32; ++k) {
      CHECK(a.items().row(i)[k] == b.items().row(i)[k]);
      CHECK(a.contexts().row(i)[k] == b.contexts().row(i)[k]);
    }
}

void bad_input_is_refused() {
  Corpus corpus = clusters(20);
  auto o = options();
  o.vector_size = 0;
  check_throws<std::invalid_argument>([&] { tc::SgnsModel(o, corpus.counts.data(), 100); });
  o = options();
  check_throws<std::invalid_argument>([&] { tc::SgnsModel(o, corpus.counts.data(), 0); });
  o.alpha = 0;
  check_throws<std::invalid_argument>([&] { tc::SgnsModel(o, corpus.counts.data(), 100); });
  tc::SgnsModel model(options(), corpus.counts.data(), 100);
  check_throws<std::invalid_argument>([&] { model.train(block(corpus), 0); });
  corpus.tokens[5] = 100;
  check_throws<std::out_of_range>([&] { model.train(block(corpus), 2); });
  corpus.tokens[5] = -1;
  check_throws<std::out_of_range>([&] { model.train(block(corpus), 2); });
  corpus.tokens[5] = 0;
  corpus.offsets[3] = corpus.offsets[2] - 1;
  check_throws<std::invalid_argument>([&] { model.train(block(corpus), 2); });
}

void divergence_is_thrown() {
  const Corpus corpus = clusters(2000);
  auto o = options();
  o.alpha = o.min_alpha = 1e6;
  tc::SgnsModel model(o, corpus.counts.data(), 100);
  check_throws<std::domain_error>([&] {
    for (std::uint64_t epoch = 0; epoch < 5; ++epoch) model.train(block(corpus, epoch), 2);
  });
}

void nothing_to_train_is_fine() {
  const std::vector<std::int64_t> counts{4};
  tc::SgnsModel model(options(), counts.data(), 1);
  const std::vector<std::int32_t> tokens{0, 0, 0, 0};
  const std::vector<std::int64_t> offsets{0, 0, 1, 4, 4}, empty{0};
  tc::SgnsBlock b;
  b.sequences = {tokens.data(), offsets.data(), 4};
  const auto stats = model.train(b, 2);  // one item: every negative is the target and is left out
  CHECK(stats.pairs == 6 && stats.kept_tokens == 4);
  b.sequences = {nullptr, empty.data(), 0};
  CHECK(model.train(b, 2).pairs == 0);
}

void a_poll_that_says_no_stops() {
  const Corpus corpus = clusters(200000);
  tc::SgnsModel model(options(), corpus.counts.data(), 100);
  int calls = 0;
  std::uint64_t pairs = 0;
  bool finished = true;
  for (std::uint64_t epoch = 0; epoch < 50 && finished; ++epoch) {
    const auto stats = model.train(block(corpus, epoch), 2, true, [&](std::int64_t) { return ++calls < 2; });
    finished = stats.finished;
    pairs += stats.pairs;
  }
  CHECK(!finished && calls == 2 && pairs > 0);
  check_throws<std::logic_error>([&] {
    for (std::uint64_t epoch = 0; epoch < 50; ++epoch)
      model.train(block(corpus, epoch), 2, true, [](std::int64_t) -> bool { throw std::logic_error("no"); });
  });
}

void long_sequences_are_trained_whole() {
  Corpus corpus = clusters(20000);
  const auto n = static_cast<std::int64_t>(corpus.tokens.size());
  CHECK(n > 10 * tc::SgnsSampler::kChunk);
  corpus.offsets = {0, n};
  auto o = options();
  o.dynamic_window = false;
  tc::SgnsModel model(o, corpus.counts.data(), 100);
  const auto stats = model.train(block(corpus), 3);
  CHECK(stats.kept_tokens == static_cast<std::uint64_t>(n));
  CHECK(stats.pairs == static_cast<std::uint64_t>(10 * n - 30));  // 5 to each side, but for the two ends
}

#if defined(__linux__) && UINTPTR_MAX > 0xFFFFFFFFu
// Places past 2^31 and 2^32 in address space that is reserved, not allocated; only the last page is ever touched.
void places_past_32_bits_are_reached() {
  const std::int64_t start = (std::int64_t{1} << 32) + 5;
  const std::size_t bytes = static_cast<std::size_t>(start + 4096) * sizeof(std::int32_t);
  void* span = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (span == MAP_FAILED) return;  // no such span to be had here
  auto* tokens = static_cast<std::int32_t*>(span);
  Corpus corpus = clusters(100);
  std::vector<std::int64_t> offsets = corpus.offsets;
  for (auto& offset : offsets) offset += start;
  for (std::size_t i = 0; i < corpus.tokens.size(); ++i) tokens[start + static_cast<std::int64_t>(i)] = corpus.tokens[i];
  tc::SgnsModel near(options(), corpus.counts.data(), 100), far(options(), corpus.counts.data(), 100);
  near.train(block(corpus), 1);
  tc::SgnsBlock b;
  b.sequences = {tokens, offsets.data(), 100};
  far.train(b, 1);
  for (std::size_t i = 0; i < 100; ++i) CHECK(near.items().row(i)[3] == far.items().row(i)[3]);
  munmap(span, bytes);
}
#else
void places_past_32_bits_are_reached() {}
#endif

}  // namespace

int main() {
  return run_tests({{"every level gives the same", every_level_gives_the_same},
                    {"threads learn the clusters", threads_learn_the_clusters},
                    {"one thread repeats itself", one_thread_repeats_itself_and_evaluation_changes_nothing},
                    {"bad input is refused", bad_input_is_refused},
                    {"divergence is thrown", divergence_is_thrown},
                    {"nothing to train is fine", nothing_to_train_is_fine},
                    {"a poll that says no stops", a_poll_that_says_no_stops},
                    {"long sequences are trained whole", long_sequences_are_trained_whole},
                    {"places past 32 bits are reached", places_past_32_bits_are_reached}});
}
