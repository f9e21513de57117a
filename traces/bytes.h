/* Bytes: a binary trace file as a stream of records, with the place of each. Plain, gzip or zstd; read
 * as often as it takes, standard input too (es_descriptor_settle); a named pipe is an error. */
#ifndef ES_TRACES_BYTES_H
#define ES_TRACES_BYTES_H

#include "sim/base/reader.h"

typedef struct es_bytes {
    es_reader *reader;
    const char *path;
    unsigned char *buffer;
    size_t at, end, room;
    uint64_t offset;                    /* of the next byte, in the decompressed file */
    bool over;                          /* nothing comes behind the buffer */
    bool hashed;                        /* the hash was given, so no other reading makes one */
    bool asked, lenient;                /* es_bytes_lenient was called, with this */
    bool cut;                           /* a reading before met the early end of a compressed stream, */
    uint64_t made;                      /* behind so many bytes */
} es_bytes;

enum { ES_BYTES_ROOM = 32 };

/* `path` must live as long as the stream. */
es_code es_bytes_open(es_bytes *bytes, const char *path, es_err *err);
/* es_reader_lenient, for all readings of it. */
void es_bytes_lenient(es_bytes *bytes, bool lenient);
bool es_bytes_cut(es_bytes *bytes, uint64_t *made);
/* The next `count` bytes stand at *at until the next call; *got is less only at the end of the file. They are not consumed. ES_BYTES_ROOM
 * bytes behind them may be read too, whatever they are: so a loop takes eight ids at a time where a row has fewer. */
es_code es_bytes_peek(es_bytes *bytes, size_t count, const unsigned char **at, size_t *got, es_err *err);
/* Consumes what was peeked at. */
void es_bytes_take(es_bytes *bytes, size_t count);
/* Consumes bytes that nobody looks at; those beyond the end are an error. */
es_code es_bytes_skip(es_bytes *bytes, uint64_t count, es_err *err);
/* sha256 of the file, which must have been read to its end. Once, in the reading that it is of. */
void es_bytes_sha256(es_bytes *bytes, char hex[65]);
/* From the beginning again. */
es_code es_bytes_rewind(es_bytes *bytes, es_err *err);
void es_bytes_close(es_bytes *bytes);

/* "FILE: record N (byte B): ...", always ES_EINPUT; records count from 0. */
es_code es_bytes_fault(const es_bytes *bytes, uint64_t record, uint64_t offset, es_err *err, const char *fmt, ...) ES_PRINTF(5, 6);

static inline uint16_t es_bytes_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t es_bytes_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t es_bytes_u64(const unsigned char *p)
{
    return es_bytes_u32(p) | (uint64_t)es_bytes_u32(p + 4) << 32;
}

/* A number of 16 bits as IEEE 754 has it. */
float es_bytes_half(uint16_t half);

#endif
