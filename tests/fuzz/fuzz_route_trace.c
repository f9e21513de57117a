/* Fuzzes the reader of route_trace v1 (traces/route_trace.c). */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_source("route_trace", data, size);
    return 0;
}
