// SGNS in lanes: the same bytes on any number of threads, and nothing races: built without exemptions for
// ThreadSanitizer (TRAITCORE_RACY is empty here).
#define TRAITCORE_RACY
#include <traitcore/sgns.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

struct Corpus {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0}, counts;
};

// Falling frequencies, sequences of 1 ... 24 items and one long one.
Corpus corpus_of(int n_items, int n_sequences) {
  Corpus corpus;
  corpus.counts.assign(static_cast<std::size_t>(n_items), 0);
  tc::CounterRng rng(5, 1);
  for (int s = 0; s < n_sequences; ++s) {
    const std::uint32_t length = s == n_sequences / 2 ? 700 : 1 + rng.below(24);
    for (std::uint32_t i = 0; i < length; ++i) {
      const float u = rng.unit();
      corpus.tokens.push_back(static_cast<std::int32_t>(u * u * u * static_cast<float>(n_items)));
    }
    corpus.offsets.push_back(static_cast<std::int64_t>(corpus.tokens.size()));
  }
  for (const auto token : corpus.tokens) ++corpus.counts[static_cast<std::size_t>(token)];
  return corpus;
}

tc::SgnsOptions options() {
  tc::SgnsOptions o;
  o.vector_size = 32;
  o.sample = 0;
  o.lanes = {8, 24};
  return o;
}

std::vector<float> trained(const tc::SgnsOptions& o, const Corpus& corpus, int workers, std::int64_t cut = 0,
                           const std::int32_t* groups = nullptr, const std::int32_t* global = nullptr) {
  tc::SgnsModel model(o, corpus.counts.data(), corpus.counts.size(), groups);
  const auto n = static_cast<std::int64_t>(corpus.offsets.size()) - 1;
  tc::SgnsBlock block;
  block.schedule = {0, static_cast<std::int64_t>(corpus.tokens.size()), static_cast<std::int64_t>(corpus.tokens.size())};
  if (cut > 0) {
    block.sequences = {corpus.tokens.data(), corpus.offsets.data(), cut};
    block.global_context = global;
    block.last = false;
    model.train(block, workers);
  }
  block.sequences = {corpus.tokens.data(), corpus.offsets.data() + cut, n - cut};
  block.global_context = global ? global + cut : nullptr;
  block.first_sequence = static_cast<std::uint64_t>(cut);
  block.schedule.first = corpus.offsets[static_cast<std::size_t>(cut)];
  block.last = true;
  model.train(block, workers);
  std::vector<float> all(model.items().data(), model.items().data() + model.items().rows() * model.items().stride());
  all.insert(all.end(), model.contexts().data(), model.contexts().data() + model.contexts().rows() * model.contexts().stride());
  return all;
}

void threads_and_blocks_give_the_same_bytes() {
  const Corpus corpus = corpus_of(700, 500);
  std::vector<std::int32_t> groups(700), global(500);
  for (std::size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<std::int32_t>(i % 5);
  for (std::size_t i = 0; i < global.size(); ++i) global[i] = i % 3 ? static_cast<std::int32_t>(i) : -1;
  for (int i = 0; i <= static_cast<int>(tc::detected_simd_level()); ++i) {
    tc::set_simd_level(static_cast<tc::SimdLevel>(i));
    for (const bool shared : {true, false})
      for (const int grouped : {0, 3}) {
        auto o = options();
        o.shared = shared;
        o.group_negative = grouped;
        const auto one = trained(o, corpus, 1, 0, groups.data(), global.data());
        for (const int workers : {2, 3, 7})
          CHECK(trained(o, corpus, workers, 100 * workers / 2, groups.data(), global.data()) == one);
      }
  }
  tc::reset_simd_level();
}

void one_lane_is_hogwild_on_one_thread() {
  const Corpus corpus = corpus_of(300, 300);
  auto o = options();
  o.lanes = {1, 0};
  const auto one = trained(o, corpus, 3);
  o.reproducible = false;
  CHECK(trained(o, corpus, 1) == one);
}

void stopping_leaves_whole_super_steps() {
  const Corpus corpus = corpus_of(3000, 40000);
  tc::SgnsModel model(options(), corpus.counts.data(), corpus.counts.size());
  tc::SgnsBlock block;
  block.sequences = {corpus.tokens.data(), corpus.offsets.data(), static_cast<std::int64_t>(corpus.offsets.size()) - 1};
  bool finished = true;
  for (; finished && block.epoch < 200; ++block.epoch)
    finished = model.train(block, 2, true, [](std::int64_t) { return false; }).finished;
  CHECK(!finished);
  for (std::size_t i = 0; i < 3000; ++i) CHECK(std::isfinite(model.items().row(i)[0]));
  check_throws<std::logic_error>([&] {
    for (; block.epoch < 500; ++block.epoch)
      model.train(block, 2, true, [](std::int64_t) -> bool { throw std::logic_error("no"); });
  });
}

void errors_of_workers_are_thrown() {
  Corpus corpus = corpus_of(300, 2000);
  corpus.tokens[corpus.tokens.size() - 5] = 300;
  check_throws<std::out_of_range>([&] { trained(options(), corpus, 3); });
  corpus.tokens[corpus.tokens.size() - 5] = -1;
  check_throws<std::out_of_range>([&] { trained(options(), corpus, 2); });
  corpus.tokens[corpus.tokens.size() - 5] = 0;
  auto o = options();
  o.alpha = o.min_alpha = 1e30;
  check_throws<std::domain_error>([&] { trained(o, corpus, 2); });
  o = options();
  o.lanes = {3, 0};
  check_throws<std::invalid_argument>([&] { trained(o, corpus, 2); });
}

void an_epoch_has_to_end_before_the_next() {
  const Corpus corpus = corpus_of(300, 30);
  tc::SgnsModel model(options(), corpus.counts.data(), corpus.counts.size());
  tc::SgnsBlock block;
  block.sequences = {corpus.tokens.data(), corpus.offsets.data(), 30};
  block.last = false;
  model.train(block, 2);
  block.epoch = 1;
  check_throws<std::invalid_argument>([&] { model.train(block, 2); });
}

}  // namespace

int main() {
  return run_tests({{"threads and blocks give the same bytes", threads_and_blocks_give_the_same_bytes},
                    {"one lane is Hogwild on one thread", one_lane_is_hogwild_on_one_thread},
                    {"stopping leaves whole super-steps", stopping_leaves_whole_super_steps},
                    {"errors of workers are thrown", errors_of_workers_are_thrown},
                    {"an epoch has to end before the next", an_epoch_has_to_end_before_the_next}});
}
