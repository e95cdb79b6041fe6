/* ------------------------------------------------------------------ the same for every step */

typedef long long Index;

#define NOINLINE __attribute__((noinline))
#define ALIGNED __attribute__((aligned(sizeof(V))))
#define LENGTH (sizeof(V) / sizeof(T))
#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Numbers below the smallest normal one count as 0, for processors are slow with them. */
#if defined(__x86_64__)
static inline unsigned flush_denormals(void) {
  unsigned usual = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(usual | 0x8040);
  return usual;
}
static inline void restore(unsigned usual) { __builtin_ia32_ldmxcsr(usual); }
#elif defined(__aarch64__)
static inline unsigned long flush_denormals(void) {
  unsigned long usual;
  __asm__ volatile("mrs %0, fpcr" : "=r"(usual));
  __asm__ volatile("msr fpcr, %0" : : "r"(usual | (1ul << 24)));
  return usual;
}
static inline void restore(unsigned long usual) {
  __asm__ volatile("msr fpcr, %0" : : "r"(usual));
}
#else
static inline int flush_denormals(void) { return 0; }
static inline void restore(int usual) {}
#endif

/* A matrix, from one arrangement in memory to another. */
NOINLINE static void copy(T *restrict to, const T *restrict from, Index rows, Index columns,
                          Index to_row, Index to_column, Index from_row, Index from_column) {
  for (Index i = 0; i < rows; i++)
    if (to_column == 1 && from_column == 1)
      __builtin_memcpy(to + i * to_row, from + i * from_row, columns * sizeof(T));
    else
      for (Index j = 0; j < columns; j++)
        to[i * to_row + j * to_column] = from[i * from_row + j * from_column];
}

/* The samples of a step: those at `first`, first + 1, ... of the order. */
NOINLINE static void gather(T *restrict to, const T *restrict from, const Index *restrict order,
                            Index first, Index rows, Index columns, Index to_row,
                            Index to_column) {
  for (Index i = 0; i < rows; i++) {
    const T *row = from + (order ? order[first + i] : first + i) * columns;
    for (Index j = 0; j < columns; j++) to[i * to_row + j * to_column] = row[j];
  }
}

/* The same for one class a sample, which becomes a number. */
NOINLINE static void gather_classes(T *restrict to, const Index *restrict from,
                                    const Index *restrict order, Index first, Index rows,
                                    Index columns, Index to_row, Index to_column) {
  for (Index i = 0; i < rows; i++) to[i * to_row] = (T)from[order ? order[first + i] : first + i];
}

/* 0 if all numbers are finite, else NaN: infinity times 0 is NaN. */
NOINLINE static T zero_if_finite(const T *x, Index count) {
  T sums[LENGTH] = {0}, sum = 0;
  Index whole = count - count % (Index)LENGTH;
  for (Index i = 0; i < whole; i += LENGTH)
    for (int j = 0; j < LENGTH; j++) sums[j] += x[i + j] * 0;
  for (Index i = whole; i < count; i++) sum += x[i] * 0;
  for (int j = 0; j < LENGTH; j++) sum += sums[j];
  return sum;
}

static inline void zero(T *to, Index count) {
  for (Index i = 0; i < count; i++) to[i] = 0;
}

static inline void move(T *restrict to, const T *restrict from, Index count) {
  for (Index i = 0; i < count; i++) to[i] = from[i];
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (VI){__VA_ARGS__})
#endif
