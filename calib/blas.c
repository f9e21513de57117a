/* BLAS: see blas.h. The types of CBLAS are those of its reference: int for sizes, and these values of its enumerations. */
#include "calib/blas.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BLAS_ROW_MAJOR = 101, BLAS_PLAIN = 111, BLAS_TRANSPOSED = 112 };

struct blas {
    void *library;
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
    void (*sgemv)(int order, int trans, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta, float *y, int incy);
    const char *(*config)(void);
};

static void blas_find(const blas *b, const char *name, void *function)
{
    void *found = dlsym(b->library, name);
    memcpy(function, &found, sizeof found);     /* a pointer to data may not be cast to one to a function */
}

blas *blas_open(const char *library, int threads)
{
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so", "libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib"};
    blas *b = calloc(1, sizeof *b);
    if (b && library)
        b->library = strcmp(library, "none") == 0 ? NULL : dlopen(library, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; b && !library && !b->library && i < sizeof names / sizeof *names; i++)
        b->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!b || !b->library)
        return b;
    void (*set_threads)(int) = NULL;
    blas_find(b, "cblas_sgemm", &b->sgemm);
    blas_find(b, "cblas_sgemv", &b->sgemv);
    blas_find(b, "openblas_get_config", &b->config);
    blas_find(b, "openblas_set_num_threads", &set_threads);
    if (threads > 0 && set_threads)
        set_threads(threads);
    return b;
}

void blas_close(blas *b)
{
    if (b && b->library)
        dlclose(b->library);
    free(b);
}

bool blas_own(const blas *b)
{
    return !b->sgemm || !b->sgemv;
}

const char *blas_name(const blas *b)
{
    return blas_own(b) ? "own loops" : b->config ? b->config() : "OpenBLAS";
}

static void multiply_plain(uint32_t rows, uint32_t inner, uint32_t columns, const float *left, const float *right, float *out)
{
    memset(out, 0, (size_t)rows * columns * sizeof *out);
    for (uint32_t k = 0; k < inner; k++)        /* the weights are read once, in their order, as they are what is large */
        for (uint32_t i = 0; i < rows; i++) {
            float factor = left[(size_t)i * inner + k];
            const float *row = right + (size_t)k * columns;
            float *sum = out + (size_t)i * columns;
            for (uint32_t j = 0; j < columns; j++)
                sum[j] += factor * row[j];
        }
}

void blas_multiply(const blas *b, uint32_t rows, uint32_t inner, uint32_t columns, const float *left, const float *right, float *out)
{
    if (blas_own(b))
        multiply_plain(rows, inner, columns, left, right, out);
    else if (rows == 1)
        b->sgemv(BLAS_ROW_MAJOR, BLAS_TRANSPOSED, (int)inner, (int)columns, 1.0f, right, (int)columns, left, 1, 0.0f, out, 1);
    else
        b->sgemm(BLAS_ROW_MAJOR, BLAS_PLAIN, BLAS_PLAIN, (int)rows, (int)columns, (int)inner, 1.0f, left, (int)inner, right, (int)columns, 0.0f, out, (int)columns);
}
