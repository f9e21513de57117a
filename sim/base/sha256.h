/* SHA-256 (FIPS 180-4), for provenance: which trace, which profile. Uses the CPU's SHA instructions where there are any. */
#ifndef ES_BASE_SHA256_H
#define ES_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct es_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
    bool fast;              /* the CPU's SHA instructions are used; chosen by begin */
} es_sha256;

void es_sha256_begin(es_sha256 *sha);
void es_sha256_add(es_sha256 *sha, const void *data, size_t count);
void es_sha256_hex(const es_sha256 *sha, char hex[65]);      /* of what was added so far; adding may go on */

#endif
