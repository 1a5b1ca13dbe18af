#include <traitcore/next_item.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"

namespace tc = traitcore;

namespace {

constexpr std::size_t kItems = 40;

// Sessions that go round a circle of items, some of one item and some empty.
struct Corpus {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0}, counts = std::vector<std::int64_t>(kItems, 0);

  Corpus() {
    tc::CounterRng rng(1, 2);
    for (int s = 0; s < 400; ++s) {
      const auto start = rng.below(kItems), length = rng.below(7);
      for (std::uint32_t t = 0; t < length; ++t) {
        tokens.push_back(static_cast<std::int32_t>((start + t) % kItems));
        ++counts[static_cast<std::size_t>(tokens.back())];
      }
      offsets.push_back(static_cast<std::int64_t>(tokens.size()));
    }
  }

  tc::NextItemBlock block(std::uint64_t epoch) const {
    return {tokens.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1, nullptr, epoch, 0.0, 1.0};
  }
};

tc::NextItemOptions options(std::size_t width, int negative) {
  tc::NextItemOptions o;
  o.vector_size = width;
  o.negative = negative;
  o.window = 5;
  o.batch = 50;
  return o;
}

std::vector<float> trained(const Corpus& corpus, std::size_t width, int negative, int workers, double* loss = nullptr) {
  tc::NextItemModel model(options(width, negative), corpus.counts.data(), kItems);
  for (std::uint64_t e = 0; e < 3; ++e) {
    const tc::NextItemStats stats = model.train(corpus.block(e), workers);
    if (loss) loss[e] = stats.loss / stats.weight;
  }
  model.items().compact();
  std::vector<float> all(model.items().data(), model.items().data() + kItems * width);
  for (const auto* part : {&model.biases(), &model.steps(), &model.repeats(), &model.squares()})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

void threads_make_no_difference() {
  const Corpus corpus;
  for (const std::size_t width : {std::size_t{1}, std::size_t{16}, std::size_t{37}})
    for (const int negative : {1, 30, 500})
      CHECK(trained(corpus, width, negative, 1) == trained(corpus, width, negative, 3));
}

void rows_have_length_one_and_the_loss_falls() {
  const Corpus corpus;
  double loss[3];
  const auto all = trained(corpus, 20, 30, 2, loss);
  CHECK(loss[2] < loss[0]);
  for (std::size_t i = 0; i < kItems; ++i) {
    double squares = 0;
    for (std::size_t k = 0; k < 20; ++k) squares += static_cast<double>(all[i * 20 + k]) * all[i * 20 + k];
    CHECK(std::fabs(squares - 1) < 1e-5);
  }
}

void a_pass_without_updates_changes_nothing() {
  const Corpus corpus;
  tc::NextItemModel model(options(9, 30), corpus.counts.data(), kItems);
  const std::vector<float> steps = model.steps();
  const tc::NextItemStats first = model.train(corpus.block(0), 1, false), second = model.train(corpus.block(0), 2, false);
  CHECK(first.loss == second.loss);
  CHECK(first.examples > 0 && steps == model.steps());
}

void a_poll_stops_it() {
  const Corpus corpus;
  tc::NextItemOptions o = options(8, 10);
  o.batch = 2;
  tc::NextItemModel model(o, corpus.counts.data(), kItems);
  const tc::NextItemStats stats = model.train(corpus.block(0), 2, true, [](double) { return false; });
  CHECK(!stats.finished && stats.examples < 100);
}

void refusals() {
  const Corpus corpus;
  check_throws<std::invalid_argument>([&] { tc::NextItemModel(options(0, 10), corpus.counts.data(), kItems); });
  check_throws<std::invalid_argument>([&] { tc::NextItemModel(options(8, 0), corpus.counts.data(), kItems); });
  check_throws<std::invalid_argument>([&] { tc::NextItemModel(options(8, 10), corpus.counts.data(), 0); });
  check_throws<std::out_of_range>([&] {
    tc::NextItemModel model(options(8, 10), corpus.counts.data(), kItems - 1);
    model.train(corpus.block(0), 2);
  });
  check_throws<std::domain_error>([&] {
    tc::NextItemOptions o = options(8, 10);
    o.alpha = 3e38;
    tc::NextItemModel model(o, corpus.counts.data(), kItems);
    for (std::uint64_t e = 0; e < 9; ++e) model.train(corpus.block(e), 1);
  });
}

}  // namespace

int main() {
  const Test tests[] = {
      {"threads make no difference", threads_make_no_difference},
      {"rows have length one and the loss falls", rows_have_length_one_and_the_loss_falls},
      {"a pass without updates changes nothing", a_pass_without_updates_changes_nothing},
      {"a poll stops it", a_poll_stops_it},
      {"refusals", refusals},
  };
  return run_tests(tests);
}
