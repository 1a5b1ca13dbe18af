// Blocks of kBlock rows to columns side by side and back, by kLanes x kLanes tiles in registers (Eklundh 1972:
// swap halves, quarters, ...). Included by nmf_block.inl.

#if TRAITCORE_REAL_LANES > 1
#if defined(__clang__) || __GNUC__ >= 12
#define TRAITCORE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TRAITCORE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif
#define TRAITCORE_STAGE(HALF, LOW, HIGH)                                   \
  _Pragma("GCC unroll 16") for (int i = 0; i < kLanes; ++i) if (!(i & HALF)) { \
    const Vec a = r[i], b = r[i + HALF];                            \
    r[i] = LOW;                                                     \
    r[i + HALF] = HIGH;                                             \
  }
// A stage of the transpose whose two rows are added at once, because only the sum of all rows is wanted.
#define TRAITCORE_FOLD(HALF, LOW, HIGH)                                    \
  _Pragma("GCC unroll 16") for (int i = 0; i < HALF; ++i) {         \
    const Vec a = r[i], b = r[i + HALF];                            \
    r[i] = LOW + HIGH;                                              \
  }
#endif

#if TRAITCORE_REAL_LANES == 1
#define TRAITCORE_STAGES(STAGE) (void)r;
#elif TRAITCORE_REAL_LANES == 16
#define TRAITCORE_STAGES(STAGE) \
  STAGE(8, TRAITCORE_SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), \
           TRAITCORE_SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)) \
  STAGE(4, TRAITCORE_SHUFFLE(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), \
           TRAITCORE_SHUFFLE(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)) \
  STAGE(2, TRAITCORE_SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), \
           TRAITCORE_SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)) \
  STAGE(1, TRAITCORE_SHUFFLE(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), \
           TRAITCORE_SHUFFLE(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#elif TRAITCORE_REAL_LANES == 8
#define TRAITCORE_STAGES(STAGE) \
  STAGE(4, TRAITCORE_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11), \
           TRAITCORE_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)) \
  STAGE(2, TRAITCORE_SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13), \
           TRAITCORE_SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)) \
  STAGE(1, TRAITCORE_SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14), \
           TRAITCORE_SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15))
#elif TRAITCORE_REAL_LANES == 4
#define TRAITCORE_STAGES(STAGE) \
  STAGE(2, TRAITCORE_SHUFFLE(a, b, 0, 1, 4, 5), \
           TRAITCORE_SHUFFLE(a, b, 2, 3, 6, 7)) \
  STAGE(1, TRAITCORE_SHUFFLE(a, b, 0, 4, 2, 6), \
           TRAITCORE_SHUFFLE(a, b, 1, 5, 3, 7))
#elif TRAITCORE_REAL_LANES == 2
#define TRAITCORE_STAGES(STAGE) \
  STAGE(1, TRAITCORE_SHUFFLE(a, b, 0, 2), \
           TRAITCORE_SHUFFLE(a, b, 1, 3))
#endif

TRAITCORE_INLINE void transpose_tile(Vec* r) { TRAITCORE_STAGES(TRAITCORE_STAGE) }

/// r[0] = the lane sums of r[0] ... r[kLanes - 1], side by side; the others are used up.
TRAITCORE_INLINE void fold_tile(Vec* r) { TRAITCORE_STAGES(TRAITCORE_FOLD) }

#undef TRAITCORE_SHUFFLE
#undef TRAITCORE_STAGE
#undef TRAITCORE_FOLD
#undef TRAITCORE_STAGES

/// rows (kBlock, width) -> columns (width, kBlock), minus `shift`.
static void to_columns(const Real* rows, int width, Real shift, Real* columns) {
  const Vec s = set1(shift);
  for (int b = 0; b < kBlock; b += kLanes)
    for (int c = 0; c < width; c += kLanes) {
      Vec r[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) r[i] = load(rows + (b + i) * width + c) - s;
      transpose_tile(r);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(columns + (c + i) * kBlock + b, r[i]);
    }
}

static void to_rows(const Real* columns, int width, Real* rows) {
  for (int b = 0; b < kBlock; b += kLanes)
    for (int c = 0; c < width; c += kLanes) {
      Vec r[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) r[i] = load(columns + (c + i) * kBlock + b);
      transpose_tile(r);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(rows + (b + i) * width + c, r[i]);
    }
}
