/* traitcore for other languages: plain C, to be called through any foreign-function interface.
 *
 * Four kernels: skip-gram training, exact top-k, fold-in, pooling. (Random walks are numba, not C++: they have no entry
 * here.) Every function checks its arguments, takes row-major arrays that the caller owns and keeps none of them,
 * returns TRAITCORE_OK or an error code, and lets no exception out. Functions may be called from several threads at a
 * time. New functions may be added to an ABI version; those that are there keep their meaning.
 */
#ifndef TRAITCORE_C_API_H
#define TRAITCORE_C_API_H

#include <stdint.h>

#if defined(_WIN32) && defined(TRAITCORE_BUILDING)
#define TRAITCORE_API __declspec(dllexport)
#elif defined(_WIN32)
#define TRAITCORE_API __declspec(dllimport)
#else
#define TRAITCORE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TRAITCORE_ABI 1

enum { TRAITCORE_OK = 0, TRAITCORE_BAD_ARGUMENT = 1, TRAITCORE_OUT_OF_MEMORY = 2, TRAITCORE_FAILED = 3 };
enum { TRAITCORE_COSINE = 0, TRAITCORE_DOT = 1, TRAITCORE_EUCLIDEAN = 2 };

/* TRAITCORE_ABI of the library; the package's version, "0.1.0"; what the last failed call of this thread said. */
TRAITCORE_API int32_t traitcore_abi(void);
TRAITCORE_API const char* traitcore_version(void);
TRAITCORE_API const char* traitcore_last_error(void);

/* Item vectors by skip-gram with negative sampling. Sequence i is tokens[offsets[i]] ... tokens[offsets[i + 1] - 1],
 * tokens are in [0, n_items). items (n_items, vector_size) gets the vectors, contexts the context vectors (or NULL),
 * loss (epochs) the mean loss per pair of each epoch (or NULL). window 0: the whole sequence; sample 0: keep all. The same
 * bytes for the same seed and instruction set, with any number of workers. */
TRAITCORE_API int32_t traitcore_train_sgns(
    const int32_t* tokens, const int64_t* offsets, int64_t n_sequences, int64_t n_items, int64_t vector_size,
    int64_t window, int32_t negative, int32_t epochs, double alpha, double sample, double ns_exponent, uint64_t seed,
    int32_t workers, float* items, float* contexts, double* loss);

/* The k nearest rows of vectors (n, width) for each query (m, width): rows (m, k) and scores (m, k), best first, ties by
 * row; -1 and NaN where there are fewer than k. Scores are similarities, or distances for TRAITCORE_EUCLIDEAN. */
TRAITCORE_API int32_t traitcore_top_k(
    const float* queries, int64_t m, const float* vectors, int64_t n, int64_t width, int64_t k, int32_t metric,
    int32_t workers, int64_t* rows, float* scores);

/* W (n, k) >= 0 that minimises ||X - W H||, X (n, m), H (k, m). */
TRAITCORE_API int32_t traitcore_fold_in(
    const float* X, int64_t n, int64_t m, const float* H, int64_t k, double tol, int32_t sweeps, int32_t workers,
    float* W);

/* Means of the vectors (n_tokens, width) of each owner's tokens, weighted by token_weights (n_tokens; NULL: all 1).
 * Owner o's tokens are tokens[offsets[o]] ... tokens[offsets[o + 1] - 1]. pooled (n_owners, width); an owner whose
 * tokens all weigh nothing gets zeros. */
TRAITCORE_API int32_t traitcore_pool(
    const int32_t* tokens, const int64_t* offsets, int64_t n_owners, const float* vectors, int64_t n_tokens,
    int64_t width, const float* token_weights, float* pooled);

#ifdef __cplusplus
}
#endif
#endif
