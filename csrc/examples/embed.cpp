// Item vectors from an event log in plain C++: no Python anywhere.
//
//     embed LOG VECTORS
//
// LOG holds an event a line, in any order: user, time in whole seconds and item, separated by blanks. VECTORS gets a line
// for each item, the most frequent first: the item, then its vector.
#include <traitcore/sessions.hpp>
#include <traitcore/sgns.hpp>
#include <traitcore/texts.hpp>
#include <traitcore/tokens.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// Texts as codes, by order of first sight.
struct Ids {
  traitcore::TextCodes table;
  std::vector<std::int32_t> codes;

  void add(const std::string& text) { codes.push_back(table.code({text.data(), text.size(), 1})); }
  std::string operator[](std::int32_t code) const {
    const traitcore::Text text = table.text(code);
    return {static_cast<const char*>(text.data), text.size};
  }
};

struct Log {
  Ids users, items;
  std::vector<std::int64_t> time;  // microseconds
};

struct Corpus {
  std::vector<std::int32_t> tokens;  // items, session by session, numbered by falling frequency
  std::vector<std::int64_t> offsets, counts;
  std::vector<std::int32_t> items;  // code of each token
};

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

Log read_log(const char* path) {
  std::ifstream in(path);
  if (!in) refuse(std::string("cannot read ") + path);
  Log log;
  std::int64_t number = 0;
  for (std::string line, user, item, more; std::getline(in, line);) {
    ++number;
    std::istringstream words(line);
    std::int64_t seconds = 0;
    const auto wrong = [&](const char* why) { refuse("line " + std::to_string(number) + ": " + why + ": " + line); };
    if (!(words >> user)) continue;  // an empty line
    if (!(words >> seconds) || !(words.peek() == EOF || std::isspace(words.peek()))) wrong("not a time in whole seconds");
    if (seconds < -1'000'000'000'000 || seconds > 1'000'000'000'000) wrong("no time within 30,000 years of 1970");
    if (!(words >> item)) wrong("no item");
    if (words >> more) wrong("more than user, time and item");
    log.users.add(user);
    log.items.add(item);
    log.time.push_back(seconds * 1'000'000);
  }
  if (in.bad()) refuse(std::string("cannot read ") + path);
  if (log.time.empty()) refuse(std::string("no event in ") + path);
  return log;
}

/// Sessions of each user, cut where nothing happens for half an hour, as sequences of items; all in one thread.
Corpus sessions_of(const Log& log) {
  const auto n = static_cast<std::int64_t>(log.time.size());
  traitcore::EventColumns events;
  events.n = n, events.time = log.time.data(), events.item = log.items.codes.data();
  traitcore::SessionRules rules;
  rules.gap_us = 1'800'000'000, rules.min_length = 2;

  const std::int64_t n_users = log.users.table.size(), n_items = log.items.table.size();
  std::vector<std::int64_t> bounds(static_cast<std::size_t>(n_users) + 1), rows(log.time.size()), times(log.time.size());
  std::vector<std::uint8_t> state(log.time.size());
  const traitcore::GroupedRows by_user{n_users, bounds.data(), rows.data(), times.data()};
  traitcore::group_rows(events, log.users.codes.data(), by_user, 1);
  traitcore::sort_groups(events, {}, by_user, 1);
  const auto found = traitcore::cut_groups(events, rules, by_user, nullptr, state.data(), 1);
  const std::int64_t n_sessions = found.sessions[traitcore::kKept];
  if (n_sessions == 0) refuse("no session of two events or more");

  Corpus corpus;
  corpus.offsets.resize(static_cast<std::size_t>(n_sessions) + 1);
  traitcore::compact_sessions(events, by_user, nullptr, state.data(), corpus.offsets.data(), nullptr);
  corpus.tokens.resize(static_cast<std::size_t>(corpus.offsets.back()));
  traitcore::pair_codes(0, corpus.offsets.back(), rows.data(), events.item, nullptr, nullptr, 1, corpus.tokens.data());

  std::vector<std::int64_t> counts(static_cast<std::size_t>(n_items));
  for (const std::int32_t item : corpus.tokens) ++counts[static_cast<std::size_t>(item)];
  for (std::int32_t item = 0; item < n_items; ++item)
    if (counts[static_cast<std::size_t>(item)] > 0) corpus.items.push_back(item);
  std::stable_sort(corpus.items.begin(), corpus.items.end(), [&](std::int32_t a, std::int32_t b) {
    return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)];
  });
  std::vector<std::int32_t> rank(static_cast<std::size_t>(n_items), -1);
  for (std::size_t k = 0; k < corpus.items.size(); ++k) {
    rank[static_cast<std::size_t>(corpus.items[k])] = static_cast<std::int32_t>(k);
    corpus.counts.push_back(counts[static_cast<std::size_t>(corpus.items[k])]);
  }
  traitcore::keep_tokens({n_sessions, corpus.tokens.data(), corpus.offsets.data(), nullptr, nullptr}, rank.data(), 1);
  std::cout << n << " events, " << n_sessions << " sessions, " << corpus.items.size() << " items\n";
  return corpus;
}

std::unique_ptr<traitcore::SgnsModel> trained(const Corpus& corpus) {
  constexpr int epochs = 5;
  traitcore::SgnsOptions options;
  options.vector_size = 32;
  options.sample = 0;
  options.rounds = epochs;
  auto model = std::make_unique<traitcore::SgnsModel>(options, corpus.counts.data(), corpus.counts.size());
  for (int epoch = 0; epoch < epochs; ++epoch) {
    traitcore::SgnsBlock block;
    block.sequences = {corpus.tokens.data(), corpus.offsets.data(), static_cast<std::int64_t>(corpus.offsets.size()) - 1};
    block.epoch = static_cast<std::uint64_t>(epoch);
    const auto n_tokens = static_cast<std::int64_t>(corpus.tokens.size());
    block.schedule = {epoch * n_tokens, (epoch + 1) * n_tokens, epochs * n_tokens};
    const auto stats = model->train(block, /*workers=*/1);
    if (stats.pairs == 0) refuse("no pair of items to learn from");
    std::cout << "epoch " << epoch + 1 << ": loss " << stats.loss / static_cast<double>(stats.pairs) << " over "
              << stats.pairs << " pairs\n";
  }
  return model;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) refuse("usage: embed LOG VECTORS");
  const Log log = read_log(argv[1]);
  const Corpus corpus = sessions_of(log);
  const auto model = trained(corpus);
  std::ofstream out(argv[2]);
  for (std::size_t i = 0; i < corpus.items.size(); ++i) {
    out << log.items[corpus.items[i]];
    for (std::size_t k = 0; k < model->options().vector_size; ++k) out << ' ' << model->items().row(i)[k];
    out << '\n';
  }
  if (!out.flush()) refuse(std::string("cannot write ") + argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "embed: " << error.what() << '\n';
  return 1;
}
