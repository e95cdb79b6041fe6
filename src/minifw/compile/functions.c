/* x everywhere; -0 stays -0, which it would not in a sum with 0. */
static inline V splat(T x) { return x - (V){0}; }

/* a where the mask is true, else b. */
static inline V where(VI mask, V a, V b) { return (V)(((VI)a & mask) | ((VI)b & ~mask)); }

/* 1 where the mask is true, else 0. */
static inline V number_of(VI mask) { return (V)(mask & (VI)splat(1)); }

/* |x|: without the bit of the sign. Exact. */
static inline V abs_of(V x) { return (V)((VU)x & ~SIGN); }

/* a, which is not negative, with the sign of x. Exact. */
static inline V signed_as(V x, V a) { return (V)((VU)a | ((VU)x & SIGN)); }

/* 1, 0 or -1; 0 of NaN. */
static inline V sign_of(V x) { return number_of(x > 0) - number_of(x < 0); }

/* The larger one; NaN if either is, for a < b is false then. */
static inline V maximum_of(V a, V b) { return where((a < b) | (b != b), b, a); }

/* The smaller one; NaN if either is. */
static inline V minimum_of(V a, V b) { return where((a > b) | (b != b), b, a); }

/* The square root, rounded correctly. Compilers make one instruction of the loop. */
static inline V sqrt_of(V x) {
  T y[sizeof(V) / sizeof(T)] __attribute__((aligned(sizeof(V))));
  ST(y) = x;
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); i++) y[i] = SQRT(y[i]);
  return LD(y);
}

/* x without its fraction. Numbers from WHOLE on have none; for smaller ones, a + WHOLE - WHOLE is
   the nearest whole number. Exact. */
static inline V trunc_of(V x) {
  V a = abs_of(x);
  V y = a + WHOLE - WHOLE;
  y -= number_of(y > a);
  return signed_as(x, where(a < WHOLE, y, a));
}

/* The largest whole number that is not above x. Exact. */
static inline V floor_of(V x) {
  V y = trunc_of(x);
  return y - number_of(y > x);
}

/* e^x where that is a normal number, within 1.1 ulp: 2^n e^r for the whole number n nearest to
   x / ln 2 and the rest r = x - n ln 2. ln 2 is the sum of two numbers, the first so short that n
   times it is exact. e^r is 1 + r + r^2 P(r), and n is added to its exponent. Of NaN this can make
   anything. */
static inline V exp_between(V x) {
  V m = x * ONE_BY_LN2 + ROUND; /* its last bits are n */
  V n = m - ROUND;
  V r = x - n * LN2_HIGH - n * LN2_LOW;
  V y = 1 + (r + r * r * P_EXP(r));
  return (V)((VU)y + ((VU)m << FRACTION_BITS));
}

/* e^x, within 1.1 ulp; 0 below the smallest normal number. */
static inline V exp_of(V x) {
  V y = where(x >= LN_SMALLEST, exp_between(x), (V){0});
  return where(x <= LN_LARGEST, y, x + INFINITE); /* NaN stays NaN */
}

/* tanh x, within 1.4 ulp. For a = |x| from 0.625 on it is 1 - 2 / (1 + e^(2 a)), below, and for
   NaN, a - a^3 / P(a^2); both with one division. */
static inline V tanh_of(V x) {
  V a = abs_of(x), z = a * a;
  V e = exp_between(2 * where(a < TANH_IS_1, a, splat(TANH_IS_1)));
  VI large = a >= (T)0.625;
  V top = where(large, splat(2), a * z);
  V bottom = where(large, 1 + e, P_TANH(z));
  return signed_as(x, where(large, splat(1), a) - top / bottom);
}

/* 1 / (1 + e^-x), within 1.9 ulp. With e = e^-|x|, which cannot overflow, it is
   1 - e / (1 + e) for x >= 0, and e times as much for x < 0. */
static inline V sigmoid_of(V x) {
  V e = exp_of(-abs_of(x));
  V top = where(x < 0, e, splat(1));
  return top - top * (e / (1 + e));
}

/* ln x, within 0.9 ulp: n ln 2 + ln(1 + f) for the n that brings 1 + f between sqrt(1/2) and
   sqrt(2). n and f are read off the bits of x. With s = f / (2 + f), ln(1 + f) is
   2 s + s R = f - h + s (h + R), where h = f^2 / 2 and R = s^2 P(s^2). Denormals count as 0. */
static inline V log_of(V x) {
  VU bits = (VU)x - BITS_OF_ROOT_HALF + BITS_OF_1;
  V n = (V)((bits >> FRACTION_BITS) + (VU)splat(ROUND)) - (ROUND + BIAS);
  V f = (V)((bits & FRACTION) + BITS_OF_ROOT_HALF) - 1;
  V s = f / (2 + f), z = s * s, h = (T)0.5 * f * f;
  V y = s * (h + z * P_LOG(z)) + n * LN2_LOW - h + f + n * LN2_HIGH;
  y = where(x < INFINITE, y, x); /* infinity and NaN stay */
  return where(x < SMALLEST, where(x < 0, splat(NOT_A_NUMBER), splat(-INFINITE)), y);
}

/* erf x, within 1.2 ulp: x + x P(x^2) for |x| below 0.9, else 1 - e^(-x^2) P(t) with the sign of x. */
static inline V erf_of(V x) {
  V a = minimum_of(abs_of(x), splat(ERF_IS_1)), z = a * a, t = (a - 2) / (a + 2);
  V y = where(a < (T)0.9, a + a * P_ERF(z), 1 - exp_of(-z) * P_ERFC(t));
  return signed_as(x, y);
}

/* A random number from 0 to 1 for each place, as `nn/random.py` defines them, with 32 bits of each
   number of a VU. The last lines make a T of 24 bits, 12 at a time. */
static inline V random_of(const T *stream, VU place) {
  VU first = (U)FIRST_WORD(stream) - (VU){0}, second = (U)SECOND_WORD(stream) - (VU){0};
  VU x = ROUND_0(place);
  x = ROUND_1(x);
  x = ((x ^ (x >> 16)) + first) & WORD;
  x = (ROUND_0(x) + second) & WORD;
  x = (ROUND_1(x) ^ 0x80000000u) >> 8;
  VU whole = (VU)splat(WHOLE);
  V high = (V)(whole | (x >> 12)) - WHOLE, low = (V)(whole | (x & 4095)) - WHOLE;
  return (high * 4096 + low) * UNIT;
}
