/* Fuzz: what the targets share. Each target is one file with LLVMFuzzerTestOneInput; linked with libFuzzer it searches, linked with
 * once.c it replays its corpus. A target must not crash, leak or hang whatever the bytes, and checks what must hold beyond that. */
#ifndef ES_TESTS_FUZZ_H
#define ES_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file that holds just these bytes; one per process, deleted at its end. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Opens the bytes with a source, reads all of it twice and checks that both readings agree. */
void fuzz_source(const char *name, const uint8_t *data, size_t size);

/* Says what should have held and aborts. */
#define FUZZ_HOLDS(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

#endif
