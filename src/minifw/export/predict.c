/* a network that minifw trained, as C.

   void predict(const float *samples, int n, float *outputs);
   void predict_double(const double *samples, int n, double *outputs);

   Each of the n samples has minifw_columns numbers: those of the columns minifw_column_names, in the
   data's own units. A word is its place among the words of its column, from 0, any other number
   a word that the network does not know; a gap is NaN. Of each sample there are minifw_outputs
   numbers: the scores of the classes minifw_output_names, or the numbers that are predicted,
   in their own units. float has seven digits; predict_double takes all that a file has.
   One thread at a time may call them.

   It needs no library, but the vectors of GCC and clang:  cc -O2 -std=c99 -c this.c
   A program that reads lines of numbers, or words, with commas between them, from its input:
   cc -O2 -std=c99 -DMINIFW_MAIN this.c -o predict && ./predict < new.csv
   where new.csv has the columns above, in their order, without a line of names or quotes. */

#pragma GCC diagnostic ignored "-Wunused-parameter" /* all steps have the same */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wsign-compare"

void predict(const float *samples, int n, float *outputs);
void predict_double(const double *samples, int n, double *outputs);

/* HERE */
/* The network's inputs from a row: gaps filled, words one-hot, all of it normalised. */
static void prepare(const double *row, T *x) {
  int f = 0;
  for (int c = 0; c < COLUMNS; c++) {
    double value = row[c];
    const int count = word_counts[c], other = count;
    if (count < 0) {
      if (value != value) value = fill[f];
      x[f] = (T)((value - shift[f]) / scale[f]);
      f++;
      continue;
    }
    int chosen = other;
    if (value != value) value = gaps[c];
    for (int k = 0; k < count; k++)
      if (value == k && known[f + k]) chosen = k;
    for (int k = 0; k <= count; k++, f++) x[f] = (T)(((k == chosen) - shift[f]) / scale[f]);
  }
}

static void load(T *m) {
  const Index lane = 0;
  (void)lane;
  (void)m;
  /* LOADING */
}

static void predict_one(const double *row, double *result) {
  static int loaded = 0;
  T x[FEATURES], output[OUTPUTS];
  if (!loaded) load(memory);
  loaded = 1;
  prepare(row, x);
  step(memory, x, 0, 0, 0, 0, output);
  for (int k = 0; k < OUTPUTS; k++)
    result[k] = IS_REGRESSION ? output[k] * output_scale[k] + output_shift[k] : output[k];
}

void predict_double(const double *samples, int n, double *outputs) {
  for (int i = 0; i < n; i++)
    predict_one(samples + (Index)i * COLUMNS, outputs + (Index)i * OUTPUTS);
}

void predict(const float *samples, int n, float *outputs) {
  double row[COLUMNS], result[OUTPUTS];
  for (int i = 0; i < n; i++) {
    for (int c = 0; c < COLUMNS; c++) row[c] = samples[(Index)i * COLUMNS + c];
    predict_one(row, result);
    for (int k = 0; k < OUTPUTS; k++) outputs[(Index)i * OUTPUTS + k] = (float)result[k];
  }
}

#ifdef MINIFW_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of a cell, whose spaces at both ends are gone; sets `wrong` where it is none. */
static double number_of_cell(char *cell, int column, int *wrong) {
  char *end;
  if (word_counts[column] >= 0 && *cell) {
    for (int k = 0; k < word_counts[column]; k++)
      if (!strcmp(cell, minifw_words[minifw_first_word[column] + k])) return k;
    if (*cell == '"') *wrong = 1; /* a word in quotes would be taken for an unknown one */
    return word_counts[column];
  }
  if (!*cell) return __builtin_nan("");
  double value = strtod(cell, &end);
  if (*end) *wrong = 1;
  return value;
}

int main(void) {
  static char line[1 << 20];
  double row[COLUMNS], result[OUTPUTS];
  for (long number = 1; fgets(line, sizeof line, stdin); number++) {
    char *cell = line;
    int column = 0, wrong = 0;
    line[strcspn(line, "\r\n")] = 0;
    while (cell && column < COLUMNS) {
      char *next = strchr(cell, ',');
      if (next) *next++ = 0;
      while (*cell == ' ' || *cell == '\t') cell++;
      for (char *last = cell + strlen(cell); last > cell && (last[-1] == ' ' || last[-1] == '\t');)
        *--last = 0;
      row[column] = number_of_cell(cell, column, &wrong);
      column++;
      cell = next;
    }
    if (column < COLUMNS || cell || wrong) {
      fprintf(stderr, "line %ld: expects %d numbers with commas between them\n", number, COLUMNS);
      return 2;
    }
    predict_double(row, 1, result);
    int best = 0;
    for (int k = 1; k < OUTPUTS; k++)
      if (result[k] > result[best]) best = k;
    if (!IS_REGRESSION) printf("%s,", minifw_output_names[best]);
    for (int k = 0; k < OUTPUTS; k++) printf("%s%.9g", k ? "," : "", result[k]);
    printf("\n");
  }
  return 0;
}
#endif
