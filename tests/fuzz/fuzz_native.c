/* Fuzzes the reader of the native format (traces/native.c) and the HDF5 layer below it, with whole files as bytes. */
#include "tests/fuzz/fuzz.h"

/* Of a corrupt file libhdf5 forgets some of its own blocks when it gives up; ours are still looked for. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("native", data, size);
    return 0;
}
