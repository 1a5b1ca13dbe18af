// The scan of topk_codes.hpp, for one instruction set.

inline constexpr int kCodeGroups = 16 / kF32Lanes;

// c . p of a tile's rows.
TRAITCORE_INLINE void products(const std::uint8_t* codes, const CodedQuery& query, std::size_t quads,
                               i32 (&sum)[kCodeGroups]) {
  for (int g = 0; g < kCodeGroups; ++g) sum[g] = set1_int(query.offset);
  const std::int8_t* four = query.codes();
  for (std::size_t c = 0; c < quads; ++c, codes += 64, four += 4)
    for (int g = 0; g < kCodeGroups; ++g) sum[g] = add_products(sum[g], codes + 4 * kF32Lanes * g, four);
}

static void scan(const RowCodes& rows, const CodedQuery& query, const TopKLane& lane, CodedRows& found) {
  const std::size_t quads = rows.quads(), n = rows.rows();
  const f32 step = set1(query.step);
  for (std::size_t tile = 0; tile < rows.tiles() && !found.many(); ++tile) {
    const float* scale = lane.block->scale + tile * 16;
    const float* bias = lane.block->bias + tile * 16;
    float last_scale[16], last_bias[16];
    if (n - tile * 16 < 16) {  // rows past the end stay hidden
      for (std::size_t r = 0; r < 16; ++r) {
        const bool there = tile * 16 + r < n;
        last_scale[r] = there ? scale[r] : 0.0f;
        last_bias[r] = there ? bias[r] : -__builtin_inff();
      }
      scale = last_scale, bias = last_bias;
    }
    const f32 error = set1(query.per_error * rows.error(tile) + query.per_norm * rows.norm(tile) + query.least);
    i32 sum[kCodeGroups];
    products(rows.codes(tile), query, quads, sum);
    for (int g = 0; g < 16; g += kF32Lanes) {
      const f32 middle = load(rows.steps(tile) + g) * (step * floats_of(sum[g / kF32Lanes]));
      const f32 upper = fma(middle + error, load(scale + g), load(bias + g));
      unsigned bits = above(upper, set1(found.threshold));
      if (!bits) continue;
      float high[kF32Lanes], low[kF32Lanes];
      store(high, upper);
      store(low, fma(middle - error, load(scale + g), load(bias + g)));
      for (int r = 0; bits; ++r, bits >>= 1) {
        const std::int64_t row = static_cast<std::int64_t>(tile) * 16 + g + r;
        if ((bits & 1u) && !lane.is_excluded(0, row)) found.offer(low[r], high[r], row);
      }
    }
  }
}
