/* Fuzzes the reader of neutral CSV (traces/csv.c). */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("csv", data, size);
    return 0;
}
