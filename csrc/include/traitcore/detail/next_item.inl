// One instruction set's form of next-item training: three small matrix products a batch, and the rows' moves.

inline constexpr int kRows = TRAITCORE_LANES == 16 ? 12 : 6;  // accumulators of 2 vectors that fit the registers
inline constexpr std::size_t kPanel = 2 * kF32Lanes;

/// C = A B for `Rows` rows and `Vectors` vectors of columns; A's entry (i, p) is a[i * a_row + p * a_column].
template <int Rows, int Vectors>
TRAITCORE_INLINE void multiply(std::size_t depth, const float* a, std::size_t a_row, std::size_t a_column,
                               const float* b, std::size_t b_row, float* c, std::size_t c_row) {
  f32 sums[Rows][Vectors];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sums[i][v] = set1(0.0f);
  for (std::size_t p = 0; p < depth; ++p) {
    f32 row[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) row[v] = load(b + p * b_row + v * kF32Lanes);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      const f32 x = set1(a[static_cast<std::size_t>(i) * a_row + p * a_column]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[i][v] = fma(x, row[v], sums[i][v]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store(c + static_cast<std::size_t>(i) * c_row + v * kF32Lanes, sums[i][v]);
}

/// C = A B for 12 rows and n columns, n a multiple of a vector.
TRAITCORE_INLINE void multiply_block(std::size_t depth, const float* a, std::size_t a_row, std::size_t a_column,
                                     const float* b, std::size_t b_row, float* c, std::size_t c_row, std::size_t n) {
  for (std::size_t i = 0; i < kNextItemBlock; i += kRows) {
    std::size_t j = 0;
    for (; j + kPanel <= n; j += kPanel)
      multiply<kRows, 2>(depth, a + i * a_row, a_row, a_column, b + j, b_row, c + i * c_row + j, c_row);
    for (; j < n; j += kF32Lanes)
      multiply<kRows, 1>(depth, a + i * a_row, a_row, a_column, b + j, b_row, c + i * c_row + j, c_row);
  }
}

TRAITCORE_INLINE float dot(const float* a, const float* b, std::size_t n) {
  f32 s = set1(0.0f);
  for (std::size_t k = 0; k < n; k += kF32Lanes) s = fma(load(a + k), load(b + k), s);
  return sum(s);
}

/// y += a * x
TRAITCORE_INLINE void add(float* y, float a, const float* x, std::size_t n) {
  const f32 f = set1(a);
  for (std::size_t k = 0; k < n; k += kF32Lanes) store(y + k, fma(f, load(x + k), load(y + k)));
}

TRAITCORE_INLINE void rescale(float* y, float a, std::size_t n) {
  const f32 f = set1(a);
  for (std::size_t k = 0; k < n; k += kF32Lanes) store(y + k, load(y + k) * f);
}

/// exp(x), |x| held to 80: 2^r by exponent bits times a polynomial of degree 5 for the rest (relative error 1e-7). Logits
/// stay far inside: |query| is `scale` and rows have length 1, so no maximum has to be found first.
TRAITCORE_INLINE f32 exponential(f32 x) {
  const f32 t = clamp(x, 80.0f) * set1(1.44269504f);
  const f32 magic = set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const f32 y = t + magic;
  const f32 f = t - (y - magic);
  f32 p = fma(f, set1(0.001327647129073739f), set1(0.009675540961325169f));
  p = fma(p, f, set1(0.05550713092088699f));
  p = fma(p, f, set1(0.24022120237350464f));
  p = fma(p, f, set1(0.6931469440460205f));
  p = fma(p, f, set1(1.0000001192092896f));
  return scale2(p, y);
}

/// Columns [64 task, 64 task + 64): their rows side by side, once as rows and once turned, in panels of kPanel columns.
inline void pack(const NextItemTask& t, std::int64_t task) {
  const NextItemPlan& plan = *t.plan;
  const std::size_t begin = static_cast<std::size_t>(task) * 64, n = static_cast<std::size_t>(plan.n_columns);
  const std::size_t d = t.stride, end = begin + 64 < t.columns ? begin + 64 : t.columns;
  for (std::size_t c = begin; c < end; ++c) {
    float* row = t.rows + c * d;
    if (c < n) {
      const auto item = static_cast<std::size_t>(plan.items[c]);
      const float* from = t.items + item * d;
      for (std::size_t k = 0; k < d; k += kF32Lanes) store(row + k, load(from + k));
      t.column_offset[c] = plan.offset[c] + t.bias[item];
    } else {
      for (std::size_t k = 0; k < d; k += kF32Lanes) store(row + k, set1(0.0f));
      t.column_offset[c] = -80.0f;
    }
  }
  for (std::size_t c = begin; c < end; c += kF32Lanes) {
    float* panel = t.turned + c / kPanel * kPanel * d + c % kPanel;
    for (std::size_t k = 0; k < d; k += 4) {
      f32 x0, x1, x2, x3;
      load_columns(x0, x1, x2, x3, t.rows + c * d + k, d);
      store(panel + k * kPanel, x0);
      store(panel + (k + 1) * kPanel, x1);
      store(panel + (k + 2) * kPanel, x2);
      store(panel + (k + 3) * kPanel, x3);
    }
  }
}

/// Query of example e into its row of `query`; returns scale / |sum|, 0 where the sum is as good as zero.
inline float encode(const NextItemTask& t, std::size_t e) {
  const NextItemPlan& plan = *t.plan;
  float* h = t.query + e * t.stride;
  for (std::size_t k = 0; k < t.stride; k += kF32Lanes) store(h + k, set1(0.0f));
  const std::int32_t first = plan.first_input[e];
  for (std::int32_t i = first; i < plan.first_input[e + 1]; ++i)
    add(h, t.step_weight[i - first], t.items + static_cast<std::size_t>(plan.items[plan.input_row[i]]) * t.stride,
        t.stride);
  const float norm = __builtin_sqrtf(dot(h, h, t.stride));
  const float factor = norm > 1e-6f ? t.scale / norm : 0.0f;
  rescale(h, factor, t.stride);
  return factor;
}

/// Softmax of example e over its exact candidates and the columns: probabilities, times the example's weight, in place of
/// the scores, minus the weight for the target. Returns the loss.
inline double softmax(const NextItemTask& t, std::size_t e) {
  const NextItemPlan& plan = *t.plan;
  float* p = t.score + e * t.score_stride;
  f32 sums = set1(0.0f);
  for (std::size_t c = 0; c < t.columns; c += kF32Lanes) {
    const f32 x = exponential(load(p + c) + load(t.column_offset + c));
    store(p + c, x);
    sums = sums + x;
  }
  double total = sum(sums);
  const std::int32_t first = plan.first_exact[e], last = plan.first_exact[e + 1];
  float wanted = 0;
  for (std::int32_t x = first; x < last; ++x) {
    const std::int32_t r = plan.exact_row[x], step = plan.exact_step[x];
    const auto item = static_cast<std::size_t>(plan.items[r]);
    if (r < plan.n_columns) {  // counted exactly, so not as a negative
      total -= p[r];
      p[r] = 0;
    }
    float logit = dot(t.query + e * t.stride, t.items + item * t.stride, t.stride) + t.bias[item];
    if (step >= 0) logit += t.repeat[step];
    if (x == first) wanted = logit;
    float value[kF32Lanes];
    store(value, exponential(set1(logit)));
    t.coefficient[x] = value[0];
  }
  for (std::int32_t x = first; x < last; ++x) total += t.coefficient[x];
  const float share = static_cast<float>(plan.weight[e] / total);
  for (std::int32_t x = first; x < last; ++x) t.coefficient[x] *= share;
  t.coefficient[first] -= plan.weight[e];
  rescale(p, share, t.columns);
  for (std::size_t c = static_cast<std::size_t>(plan.n_columns); c < t.score_stride; ++c) p[c] = 0;
  return plan.weight[e] * (__builtin_log(total) - wanted);
}

/// Examples of block `task`: queries, probabilities, the gradients of their weighted sums and of the weights.
inline void examples(const NextItemTask& t, std::int64_t task) {
  const NextItemPlan& plan = *t.plan;
  const std::size_t begin = static_cast<std::size_t>(task) * kNextItemBlock, d = t.stride;
  const std::size_t n = static_cast<std::size_t>(plan.n_examples);
  const std::size_t end = begin + kNextItemBlock < n ? begin + kNextItemBlock : n;
  float factor[kNextItemBlock];
  for (std::size_t e = begin; e < begin + kNextItemBlock; ++e) {
    factor[e - begin] = 0;
    if (e < end)
      factor[e - begin] = encode(t, e);
    else
      for (std::size_t k = 0; k < d; k += kF32Lanes) store(t.query + e * d + k, set1(0.0f));
  }
  float* scores = t.score + begin * t.score_stride;
  for (std::size_t c = 0; c < t.columns; c += kPanel)
    for (std::size_t i = 0; i < kNextItemBlock; i += kRows)
      multiply<kRows, 2>(d, t.query + (begin + i) * d, d, 1, t.turned + c * d, kPanel,
                         scores + i * t.score_stride + c, t.score_stride);
  double loss = 0;
  for (std::size_t e = begin; e < end; ++e) loss += softmax(t, e);
  t.loss[task] = loss;
  if (!t.update) return;
  multiply_block(static_cast<std::size_t>(plan.n_columns), scores, t.score_stride, 1, t.rows, d, t.gradient + begin * d,
                 d, d);
  for (std::size_t e = begin; e < end; ++e) {
    float* g = t.gradient + e * d;
    for (std::int32_t x = plan.first_exact[e]; x < plan.first_exact[e + 1]; ++x)
      add(g, t.coefficient[x], t.items + static_cast<std::size_t>(plan.items[plan.exact_row[x]]) * d, d);
    // Through h = scale * u / |u|: what is along h falls away.
    const float* h = t.query + e * d;
    add(g, -dot(g, h, d) / (t.scale * t.scale), h, d);
    rescale(g, factor[e - begin], d);
    for (std::int32_t i = plan.first_input[e]; i < plan.first_input[e + 1]; ++i)
      t.input_slope[i] = dot(g, t.items + static_cast<std::size_t>(plan.items[plan.input_row[i]]) * d, d);
  }
}

/// Move row x by its gradient g: along the sphere, by AdaGrad with one sum of squares a row, then back to length 1.
TRAITCORE_INLINE void move_row(const NextItemTask& t, std::size_t item, float* g) {
  float* x = t.items + item * t.stride;
  add(g, -dot(g, x, t.stride), x, t.stride);
  t.square[item] += dot(g, g, t.stride) / static_cast<float>(t.width);
  add(x, -t.plan->alpha / __builtin_sqrtf(t.square[item]), g, t.stride);
  rescale(x, 1.0f / __builtin_sqrtf(dot(x, x, t.stride)), t.stride);
}

/// Rows of the blocks task, task + tasks, ...: each row's gradient in a fixed order, then its move.
inline void rows(const NextItemTask& t, std::int64_t task, std::int64_t tasks) {
  const NextItemPlan& plan = *t.plan;
  const std::size_t d = t.stride, n = static_cast<std::size_t>(plan.n_rows);
  const auto columns = static_cast<std::size_t>(plan.n_columns), examples = static_cast<std::size_t>(plan.n_examples);
  float* gradients = t.row_gradient + static_cast<std::size_t>(task) * kNextItemBlock * d;
  for (std::size_t begin = static_cast<std::size_t>(task) * kNextItemBlock; begin < n;
       begin += static_cast<std::size_t>(tasks) * kNextItemBlock) {
    float slope[kNextItemBlock] = {0};
    if (begin < columns) {
      multiply_block(examples, t.score + begin, 1, t.score_stride, t.query, d, gradients, d, d);
      for (std::size_t e = 0; e < examples; ++e)
        for (std::size_t i = 0; i < kNextItemBlock; ++i) slope[i] += t.score[e * t.score_stride + begin + i];
    } else {
      for (std::size_t k = 0; k < kNextItemBlock * d; k += kF32Lanes) store(gradients + k, set1(0.0f));
    }
    for (std::size_t r = begin; r < begin + kNextItemBlock && r < n; ++r) {
      const auto item = static_cast<std::size_t>(plan.items[r]);
      float* g = gradients + (r - begin) * d;
      for (std::int32_t u = plan.first_use[r]; u < plan.first_use[r + 1]; ++u) {
        const std::int32_t use = plan.use[u];
        if (use >= 0) {
          const auto e = static_cast<std::size_t>(plan.exact_example[use]);
          slope[r - begin] += t.coefficient[use];
          add(g, t.coefficient[use], t.query + e * d, d);
        } else {
          const auto e = static_cast<std::size_t>(plan.input_example[~use]);
          add(g, t.step_weight[~use - plan.first_input[e]], t.gradient + e * d, d);
        }
      }
      move_row(t, item, g);
      const float s = slope[r - begin];
      if (s != 0) {
        t.bias_square[item] += s * s;
        t.bias[item] -= plan.alpha * s / __builtin_sqrtf(t.bias_square[item]);
      }
    }
  }
}
