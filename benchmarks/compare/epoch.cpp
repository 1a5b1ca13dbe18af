// One epoch of SGNS on one thread, timed; built as it is, and with TRAITCORE_SGNS_NO_LOSS, by sgns_loss.py.
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "traitcore/sgns.hpp"

namespace {
std::unique_ptr<traitcore::SgnsModel> model;
}

extern "C" __attribute__((visibility("default"))) void start(const std::int64_t* counts, std::int64_t n_items,
                                                             std::int64_t vector_size, int shared) {
  traitcore::SgnsOptions options;
  options.vector_size = static_cast<std::size_t>(vector_size);
  options.shared = shared != 0;
  options.sample = 0;
  model = std::make_unique<traitcore::SgnsModel>(options, counts, static_cast<std::size_t>(n_items));
}

extern "C" __attribute__((visibility("default"))) double epoch(const std::int32_t* tokens, const std::int64_t* offsets,
                                                               std::int64_t n_sequences) {
  traitcore::SgnsBlock block;
  block.sequences = {tokens, offsets, n_sequences};
  const auto begin = std::chrono::steady_clock::now();
  model->train(block, 1);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}
