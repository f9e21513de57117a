/* BLAS: products of matrices by OpenBLAS, loaded when first needed and only then (it starts threads when it is loaded), or by loops
 * of our own where it is absent. */
#ifndef ES_CALIB_BLAS_H
#define ES_CALIB_BLAS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct blas blas;

/* NULL: no memory. `library`: its path, "none" for own loops, NULL for OpenBLAS where it is found. `threads` 0: as the library has it. */
blas *blas_open(const char *library, int threads);
bool blas_own(const blas *b);               /* own loops compute */
void blas_close(blas *b);
const char *blas_name(const blas *b);       /* "OpenBLAS 0.3.21 ..." or "own loops" */
/* out[rows][columns] = left[rows][inner] * right[inner][columns], all row by row and without gaps. */
void blas_multiply(const blas *b, uint32_t rows, uint32_t inner, uint32_t columns, const float *left, const float *right, float *out);

#endif
