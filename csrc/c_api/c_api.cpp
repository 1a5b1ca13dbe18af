// The plain C interface of c_api.h over the headers.
#define TRAITCORE_BUILDING
#include <traitcore/c_api.h>
#include <traitcore/fold_in.hpp>
#include <traitcore/pooling.hpp>
#include <traitcore/sgns.hpp>
#include <traitcore/topk.hpp>
#include <traitcore/version.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

thread_local std::string last_error;

void require(bool holds, const char* rule) {
  if (!holds) throw std::invalid_argument(rule);
}

template <class Work>
std::int32_t guarded(const char* name, const Work& work) {
  const auto fail = [&](std::int32_t code, const char* what) {
    try {
      last_error = std::string(name) + ": " + what;
    } catch (...) {
      last_error.clear();
    }
    return code;
  };
  try {
    work();
    return TRAITCORE_OK;
  } catch (const std::invalid_argument& error) {
    return fail(TRAITCORE_BAD_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return fail(TRAITCORE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::length_error&) {
    return fail(TRAITCORE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(TRAITCORE_FAILED, error.what());
  } catch (...) {
    return fail(TRAITCORE_FAILED, "an unknown error");
  }
}

std::size_t size(std::int64_t value) { return static_cast<std::size_t>(value); }

/// rows * columns floats must be addressable.
void check_shape(const float* data, std::int64_t rows, std::int64_t columns, const char* rule) {
  require(rows >= 0 && columns >= 1 && (data || rows == 0), rule);
  require(rows <= (std::int64_t{1} << 60) / columns, rule);
}

void check_finite(const float* data, std::int64_t rows, std::int64_t columns, const char* rule) {
  for (std::size_t i = 0; i < size(rows) * size(columns); ++i) require(std::isfinite(data[i]), rule);
}

void check_sequences(const std::int32_t* tokens, const std::int64_t* offsets, std::int64_t n, std::int64_t n_tokens) {
  require(n >= 0 && offsets, "offsets must be given, and the number of sequences not negative");
  require(offsets[0] == 0, "offsets must begin at 0");
  for (std::int64_t i = 0; i < n; ++i) require(offsets[i] <= offsets[i + 1], "offsets must not fall");
  require(tokens || offsets[n] == 0, "tokens must not be NULL");
  for (std::int64_t e = 0; e < offsets[n]; ++e)
    require(tokens[e] >= 0 && tokens[e] < n_tokens, "tokens must be in [0, n)");
}

void copy_rows(const traitcore::Matrix& from, std::size_t width, float* to) {
  for (std::size_t i = 0; i < from.rows(); ++i) std::memcpy(to + i * width, from.row(i), width * sizeof(float));
}

}  // namespace

extern "C" {

std::int32_t traitcore_abi(void) { return TRAITCORE_ABI; }
const char* traitcore_version(void) { return TRAITCORE_VERSION; }
const char* traitcore_last_error(void) { return last_error.c_str(); }

std::int32_t traitcore_train_sgns(const std::int32_t* tokens, const std::int64_t* offsets, std::int64_t n_sequences,
                                  std::int64_t n_items, std::int64_t vector_size, std::int64_t window,
                                  std::int32_t negative, std::int32_t epochs, double alpha, double sample,
                                  double ns_exponent, std::uint64_t seed, std::int32_t workers, float* items,
                                  float* contexts, double* loss) {
  return guarded("traitcore_train_sgns", [&] {
    require(n_items >= 1 && n_items <= std::numeric_limits<std::int32_t>::max(), "n_items must be in [1, 2^31)");
    check_shape(items, n_items, vector_size, "items must be (n_items, vector_size), vector_size at least 1");
    require(epochs >= 1 && workers >= 1, "epochs and workers must be positive");
    require(window >= 0 && window <= std::numeric_limits<std::int32_t>::max(), "window must be in [0, 2^31)");
    require(negative >= 1 && negative <= 1000, "negative must be in [1, 1000]");
    require(std::isfinite(alpha) && alpha > 0, "alpha must be positive");
    require(std::isfinite(sample) && sample >= 0, "sample must not be negative");
    require(std::isfinite(ns_exponent), "ns_exponent must be finite");
    check_sequences(tokens, offsets, n_sequences, n_items);
    const std::int64_t n_tokens = offsets[n_sequences];
    require(n_tokens > 0, "there must be tokens to train on");
    require(n_tokens <= (std::int64_t{1} << 60) / epochs, "epochs times tokens must be at most 2^60");
    std::vector<std::int64_t> counts(size(n_items));
    for (std::int64_t e = 0; e < n_tokens; ++e) ++counts[size(tokens[e])];
    traitcore::SgnsOptions options;
    options.vector_size = size(vector_size), options.window = window, options.negative = negative;
    options.alpha = alpha, options.min_alpha = std::min(options.min_alpha, alpha), options.sample = sample;
    options.ns_exponent = ns_exponent, options.seed = seed, options.rounds = epochs;
    traitcore::SgnsModel model(options, counts.data(), counts.size());
    for (std::int32_t epoch = 0; epoch < epochs; ++epoch) {
      traitcore::SgnsBlock block;
      block.sequences = {tokens, offsets, n_sequences};
      block.epoch = static_cast<std::uint64_t>(epoch);
      block.schedule = {epoch * n_tokens, (epoch + 1) * n_tokens, epochs * n_tokens};
      const traitcore::SgnsStats stats = model.train(block, workers);
      if (loss) loss[epoch] = stats.pairs ? stats.loss / static_cast<double>(stats.pairs) : std::nan("");
    }
    copy_rows(model.items(), options.vector_size, items);
    if (contexts) copy_rows(model.contexts(), options.vector_size, contexts);
  });
}

std::int32_t traitcore_top_k(const float* queries, std::int64_t m, const float* vectors, std::int64_t n,
                             std::int64_t width, std::int64_t k, std::int32_t metric, std::int32_t workers,
                             std::int64_t* rows, float* scores) {
  return guarded("traitcore_top_k", [&] {
    check_shape(queries, m, width, "queries must be (m, width), width at least 1");
    check_shape(vectors, n, width, "vectors must be (n, width)");
    check_shape(scores, m, k, "scores must be (m, k), k at least 1");
    require(rows || m == 0, "rows must not be NULL");
    require(metric >= TRAITCORE_COSINE && metric <= TRAITCORE_EUCLIDEAN, "metric must be 0, 1 or 2");
    require(workers >= 1, "workers must be positive");
    check_finite(queries, m, width, "queries must be finite");
    check_finite(vectors, n, width, "vectors must be finite");
    std::vector<double> squares(size(n)), lengths(size(m));
    traitcore::squared_norms(vectors, size(n), size(width), squares.data());
    traitcore::squared_norms(queries, size(m), size(width), lengths.data());
    std::vector<float> scale(size(n), 1.0f), bias(size(n), 0.0f), unit;
    if (metric == TRAITCORE_COSINE) {
      const double low = std::ldexp(1.0, -120), high = std::ldexp(1.0, 120);  // of squares
      for (std::size_t i = 0; i < size(n); ++i) {
        require(squares[i] == 0 || (squares[i] > low && squares[i] < high), "vectors must have norms in 2^-60 ... 2^60");
        scale[i] = squares[i] > 0 ? static_cast<float>(1 / std::sqrt(squares[i])) : 0.0f;
      }
      unit.assign(queries, queries + size(m) * size(width));
      for (std::size_t i = 0; i < unit.size(); ++i) {
        const double length = std::sqrt(lengths[i / size(width)]);
        unit[i] = length > 0 ? static_cast<float>(unit[i] / length) : 0.0f;
      }
    } else if (metric == TRAITCORE_EUCLIDEAN) {
      traitcore::euclidean_biases(squares.data(), size(n), size(width), bias.data());
    }
    const traitcore::TopKBlock block{unit.empty() ? queries : unit.data(), size(m), vectors, size(width), 0, size(n),
                                     scale.data(), bias.data(), nullptr, nullptr, size(k),
                                     metric == TRAITCORE_EUCLIDEAN};
    if (m > 0) traitcore::search_top_k(block, {scores, rows}, static_cast<std::size_t>(workers));
  });
}

std::int32_t traitcore_fold_in(const float* X, std::int64_t n, std::int64_t m, const float* H, std::int64_t k,
                               double tol, std::int32_t sweeps, std::int32_t workers, float* W) {
  return guarded("traitcore_fold_in", [&] {
    check_shape(X, n, m, "X must be (n, m), m at least 1");
    require(k >= 1 && k <= 1 << 20, "k must be in [1, 2^20]");
    check_shape(H, k, m, "H must be (k, m)");
    check_shape(W, n, k, "W must be (n, k)");
    check_finite(X, n, m, "X must be finite");
    traitcore::FoldInOptions options;
    options.tol = tol, options.sweeps = sweeps, options.workers = workers;
    traitcore::fold_in(X, n, m, H, static_cast<int>(k), W, options);
  });
}

std::int32_t traitcore_pool(const std::int32_t* tokens, const std::int64_t* offsets, std::int64_t n_owners,
                            const float* vectors, std::int64_t n_tokens, std::int64_t width,
                            const float* token_weights, float* pooled) {
  return guarded("traitcore_pool", [&] {
    check_shape(vectors, n_tokens, width, "vectors must be (n_tokens, width), width at least 1");
    check_shape(pooled, n_owners, width, "pooled must be (n_owners, width)");
    check_sequences(tokens, offsets, n_owners, n_tokens);
    check_finite(vectors, n_tokens, width, "vectors must be finite");
    for (std::int64_t i = 0; token_weights && i < n_tokens; ++i)
      require(std::isfinite(token_weights[i]) && token_weights[i] >= 0, "token_weights must be finite and not negative");
    std::vector<std::int64_t> first(size(n_owners) + 1), known(size(n_owners));
    for (std::size_t o = 0; o < first.size(); ++o) first[o] = static_cast<std::int64_t>(o);
    std::vector<double> mass(size(n_owners));
    const traitcore::Pooling pooling{first.data(), offsets, offsets + 1, tokens, offsets[n_owners], vectors, width,
                                     token_weights, nullptr};
    traitcore::pool_owners(pooling, 0, n_owners, pooled, mass.data(), known.data());
  });
}

}  // extern "C"
