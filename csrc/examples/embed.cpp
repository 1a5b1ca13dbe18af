// Item vectors from plain C++: sequences in, vectors out, no Python anywhere.
//
//     embed SEQUENCES VECTORS
//
// SEQUENCES holds one sequence of item numbers a line, separated by blanks; VECTORS gets one line for each item: its
// number, then its vector.
#include <traitcore/sgns.hpp>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: embed SEQUENCES VECTORS");
  std::ifstream in(argv[1]);
  if (!in) throw std::runtime_error(std::string("cannot read ") + argv[1]);
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0}, counts;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    for (std::int32_t item = 0; words >> item;) {
      if (item < 0) throw std::runtime_error("item numbers must not be negative");
      tokens.push_back(item);
      if (counts.size() <= static_cast<std::size_t>(item)) counts.resize(static_cast<std::size_t>(item) + 1);
      ++counts[static_cast<std::size_t>(item)];
    }
    if (!words.eof()) throw std::runtime_error("not an item number in: " + line);
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }

  constexpr int epochs = 5;
  traitcore::SgnsOptions options;
  options.vector_size = 32;
  options.sample = 0;
  options.rounds = epochs;
  traitcore::SgnsModel model(options, counts.data(), counts.size());
  for (int epoch = 0; epoch < epochs; ++epoch) {
    traitcore::SgnsBlock block;
    block.sequences = {tokens.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1};
    block.epoch = static_cast<std::uint64_t>(epoch);
    const auto n_tokens = static_cast<std::int64_t>(tokens.size());
    block.schedule = {epoch * n_tokens, (epoch + 1) * n_tokens, epochs * n_tokens};
    const auto stats = model.train(block, /*workers=*/1);
    std::cout << "epoch " << epoch + 1 << ": loss " << stats.loss / static_cast<double>(stats.pairs) << " over "
              << stats.pairs << " pairs\n";
  }

  std::ofstream out(argv[2]);
  for (std::size_t i = 0; i < model.items().rows(); ++i) {
    out << i;
    for (std::size_t k = 0; k < options.vector_size; ++k) out << ' ' << model.items().row(i)[k];
    out << '\n';
  }
  if (!out.flush()) throw std::runtime_error(std::string("cannot write ") + argv[2]);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "embed: " << error.what() << '\n';
  return 1;
}
