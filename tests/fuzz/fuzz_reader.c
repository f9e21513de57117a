/* Fuzzes the reader of a trace format: the source that FUZZ_READER names. One target for all of them; each has its own corpus. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *name = getenv("FUZZ_READER");
    FUZZ_HOLDS(name != NULL);
    fuzz_source(name, data, size);
    return 0;
}
