/* Readers: see reader.h.
 *
 * A reader is a pipe of three: raw bytes from the descriptor (hashed as they come), a decoder chosen by the first bytes (none, gzip,
 * zstd), and a buffer from which lines are cut in place. A gzip file may hold several members and a zstd file several frames: they
 * are one stream. A stream that stops inside a member is a fault, never a shorter file. */
#include "sim/base/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "sim/base/descriptor.h"
#include "sim/base/sha256.h"

enum {
    READER_RAW = 256 * 1024, READER_OUT = 256 * 1024,
    READER_FIRST = 8 * 1024               /* what is read first: enough to know a format, and who only wants that has not hashed more */
};

#define READER_MARK "\xef\xbb\xbf"        /* U+FEFF, which some programs put before text */

typedef enum reader_coding { READER_PLAIN, READER_GZIP, READER_ZSTD } reader_coding;

struct es_reader {
    char *path;
    int fd;
    bool lent;                          /* the descriptor is not ours to close */
    off_t at;                           /* of a lent descriptor that is a file: where its next bytes are; -1 where it has no places */
    reader_coding kind;
    z_stream gzip;
    ZSTD_DStream *zstd;
    bool inside;                        /* a member or frame has begun and not ended */
    unsigned char *raw;                 /* [READER_RAW] compressed bytes: raw_at .. raw_end are not decoded yet */
    size_t raw_at, raw_end;
    bool raw_over;                      /* the file has no more */
    char *out;                          /* decoded bytes: out_at .. out_end are not given yet; out_room + 1 bytes */
    size_t out_at, out_end, out_room;
    uint64_t made, lines;               /* bytes decoded, lines given */
    bool unended;                       /* the line last given lacked its line feed */
    es_sha256 sha;
    bool unhashed;
    bool asked, lenient, cut;           /* asked: who reads can be lenient; cut: the stream stopped early, and that was let pass */
    es_code fault;                      /* a stream that failed stays failed */
};

/* --- the pipe ------------------------------------------------------------------------------------------------------------------- */

static es_code reader_raw(es_reader *reader, void *to, size_t room, size_t *got, es_err *err)
{
    ssize_t count;
    do
        count = reader->lent && reader->at >= 0 ? pread(reader->fd, to, room, reader->at) : read(reader->fd, to, room);
    while (count < 0 && errno == EINTR);
    *got = 0;
    if (count < 0)
        return es_err_system(err, reader->path, "read");
    if (reader->lent && reader->at >= 0)
        reader->at += count;
    if (!reader->unhashed)
        es_sha256_add(&reader->sha, to, (size_t)count);
    reader->raw_over = count == 0;
    *got = (size_t)count;
    return ES_OK;
}

static es_code reader_refill(es_reader *reader, es_err *err)
{
    if (reader->raw_at < reader->raw_end || reader->raw_over)
        return ES_OK;
    reader->raw_at = 0;
    return reader_raw(reader, reader->raw, READER_RAW, &reader->raw_end, err);
}

static es_code reader_early(es_reader *reader, es_err *err)
{
    reader->cut = reader->lenient;
    return reader->cut ? ES_OK : es_err_set(err, ES_EINPUT, "%s: the %s stream ends early, after %llu bytes%s", reader->path, reader->kind == READER_GZIP ? "gzip" : "zstd",
        (unsigned long long)reader->made, reader->asked ? "; --lenient uses what came before" : "");
}

/* One turn of the gzip decoder: some input, some output, perhaps neither. */
static es_code reader_gunzip(es_reader *reader, char *to, size_t room, size_t *got, es_err *err)
{
    z_stream *z = &reader->gzip;
    if (!reader->inside) {              /* between members: zero padding (tar, dd) is let pass, anything else must be a member */
        while (reader->raw_at < reader->raw_end && reader->raw[reader->raw_at] == 0 && reader->made > 0)
            reader->raw_at++;
        if (reader->raw_at == reader->raw_end)
            return ES_OK;
        if (inflateReset(z) != Z_OK)
            return es_err_set(err, ES_EINTERNAL, "%s: zlib cannot start a gzip member", reader->path);
        reader->inside = true;
    }
    z->next_in = reader->raw + reader->raw_at;
    z->avail_in = (uInt)(reader->raw_end - reader->raw_at);
    z->next_out = (unsigned char *)to;
    z->avail_out = (uInt)room;
    int state = inflate(z, Z_NO_FLUSH);
    reader->raw_at = reader->raw_end - z->avail_in;
    *got = room - z->avail_out;
    if (state == Z_STREAM_END)
        reader->inside = false;
    else if (state == Z_MEM_ERROR)
        return es_err_nomem(err, "a gzip stream");
    else if (state != Z_OK && state != Z_BUF_ERROR)
        return es_err_set(err, ES_EINPUT, "%s: the gzip stream is corrupt after %llu bytes: %s", reader->path,
            (unsigned long long)(reader->made + *got), z->msg ? z->msg : "unknown reason");
    return ES_OK;
}

static es_code reader_unzstd(es_reader *reader, char *to, size_t room, size_t *got, es_err *err)
{
    ZSTD_inBuffer in = { reader->raw, reader->raw_end, reader->raw_at };
    ZSTD_outBuffer out = { to, room, 0 };
    size_t state = ZSTD_decompressStream(reader->zstd, &out, &in);
    reader->raw_at = in.pos;
    *got = out.pos;
    if (ZSTD_isError(state))
        return es_err_set(err, ES_EINPUT, "%s: the zstd stream is corrupt after %llu bytes: %s", reader->path,
            (unsigned long long)(reader->made + *got), ZSTD_getErrorName(state));
    reader->inside = state != 0;
    return ES_OK;
}

/* At least one byte unless the stream is over. */
static es_code reader_fill(es_reader *reader, char *to, size_t room, size_t *got, es_err *err)
{
    *got = 0;
    if (room > READER_OUT * 16)
        room = READER_OUT * 16;           /* zlib counts in 32 bits */
    while (*got == 0) {
        bool plain = reader->kind == READER_PLAIN;
        if (plain && reader->raw_at == reader->raw_end) {
            if (reader->raw_over)
                return ES_OK;
            es_code code = reader_raw(reader, to, room, got, err);
            reader->made += *got;
            return code;
        }
        es_code code = reader_refill(reader, err);
        if (code)
            return code;
        if (plain) {                    /* only the bytes that were looked at to find the kind */
            *got = reader->raw_end - reader->raw_at < room ? reader->raw_end - reader->raw_at : room;
            memcpy(to, reader->raw + reader->raw_at, *got);
            reader->raw_at += *got;
        } else {
            bool dry = reader->raw_at == reader->raw_end;
            if (dry && !reader->inside)
                return ES_OK;
            code = reader->kind == READER_GZIP ? reader_gunzip(reader, to, room, got, err) : reader_unzstd(reader, to, room, got, err);
            if (code)
                return code;
            if (dry && *got == 0)
                return reader_early(reader, err);
        }
        reader->made += *got;
    }
    return ES_OK;
}

static reader_coding reader_kind(const unsigned char *head, size_t length)
{
    if (length >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        return READER_GZIP;
    if (length >= 4 && head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd)
        return READER_ZSTD;
    if (length >= 4 && (head[0] & 0xf0) == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18)
        return READER_ZSTD;               /* a skippable frame comes first */
    return READER_PLAIN;
}

/* A pipe may give its first bytes one at a time, so the head is gathered before it is judged. */
static es_code reader_begin(es_reader *reader, es_err *err)
{
    while (reader->raw_end < 4 && !reader->raw_over) {
        size_t got;
        es_code code = reader_raw(reader, reader->raw + reader->raw_end, READER_FIRST - reader->raw_end, &got, err);
        if (code)
            return code;
        reader->raw_end += got;
    }
    reader_coding kind = reader_kind(reader->raw, reader->raw_end);
    if (kind == READER_GZIP && inflateInit2(&reader->gzip, 15 + 16) != Z_OK)
        return es_err_nomem(err, "a gzip stream");
    if (kind == READER_ZSTD && !(reader->zstd = ZSTD_createDStream()))
        return es_err_nomem(err, "a zstd stream");
    reader->kind = kind;
    return ES_OK;
}

/* --- streams -------------------------------------------------------------------------------------------------------------------- */

es_code es_reader_open(es_reader **out, const char *path, es_err *err)
{
    *out = NULL;
    es_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return es_err_nomem(err, "a reader");
    es_sha256_begin(&reader->sha);
    reader->fd = es_descriptor_of(path);
    reader->lent = reader->fd >= 0;
    reader->path = strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    reader->raw = malloc(READER_RAW);
    reader->out = malloc(READER_OUT + 1);
    reader->out_room = READER_OUT;
    es_code code = ES_OK;
    struct stat about;
    if (!reader->path || !reader->raw || !reader->out)
        code = es_err_nomem(err, "a reader");
    else if ((!reader->lent && (reader->fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) || fstat(reader->fd, &about) != 0)
        code = es_err_system(err, reader->path, "open");
    else if (S_ISDIR(about.st_mode))
        code = es_err_set(err, ES_EINPUT, "%s: is a folder, not a file", path);
    else {
        reader->at = reader->lent && S_ISREG(about.st_mode) ? lseek(reader->fd, 0, SEEK_CUR) : -1;
        code = reader_begin(reader, err);
    }
    if (code) {
        es_reader_close(reader);
        return code;
    }
    *out = reader;
    return ES_OK;
}

static es_code reader_failed(es_reader *reader, es_err *err)
{
    return es_err_set(err, reader->fault, "%s: the stream failed before", reader->path);
}

es_code es_reader_read(es_reader *reader, void *buffer, size_t count, size_t *got, es_err *err)
{
    char *to = buffer;
    *got = 0;
    if (reader->fault)
        return reader_failed(reader, err);
    while (*got < count) {
        size_t part = reader->out_end - reader->out_at;
        if (part > 0) {
            part = part < count - *got ? part : count - *got;
            memcpy(to + *got, reader->out + reader->out_at, part);
            reader->out_at += part;
        } else {
            reader->fault = reader_fill(reader, to + *got, count - *got, &part, err);
            if (reader->fault)
                return reader->fault;
            if (part == 0)
                break;
        }
        *got += part;
    }
    return ES_OK;
}

/* Room for more behind the unfinished line: move it to the front, and double the buffer when it fills it. */
static es_code reader_make_room(es_reader *reader, es_err *err)
{
    size_t held = reader->out_end - reader->out_at;
    if (reader->out_at > 0) {
        memmove(reader->out, reader->out + reader->out_at, held);
        reader->out_at = 0;
        reader->out_end = held;
    }
    if (held < reader->out_room)
        return ES_OK;
    size_t room = reader->out_room * 2;
    char *out = room < SIZE_MAX / 4 ? realloc(reader->out, room + 1) : NULL;
    if (!out)
        return es_err_nomem(err, "a long line");
    reader->out = out;
    reader->out_room = room;
    return ES_OK;
}

es_code es_reader_line(es_reader *reader, char **line, size_t *length, es_err *err)
{
    *line = NULL;
    *length = 0;
    if (reader->fault)
        return reader_failed(reader, err);
    size_t looked = 0;                  /* bytes of this line known to hold no line feed */
    char *end;
    for (;;) {
        size_t held = reader->out_end - reader->out_at, got = 0;
        end = held > looked ? memchr(reader->out + reader->out_at + looked, '\n', held - looked) : NULL;
        if (end)
            break;
        looked = held;
        reader->fault = reader_make_room(reader, err);
        if (!reader->fault)
            reader->fault = reader_fill(reader, reader->out + reader->out_end, reader->out_room - reader->out_end, &got, err);
        if (reader->fault)
            return reader->fault;
        reader->out_end += got;
        if (got == 0) {                 /* the last line may lack its line feed; an empty rest is no line */
            if (held == 0)
                return ES_OK;
            end = reader->out + reader->out_end;
            reader->unended = true;
            break;
        }
    }
    char *start = reader->out + reader->out_at;
    size_t next = (size_t)(end - reader->out) + 1;
    reader->out_at = next < reader->out_end ? next : reader->out_end;
    if (reader->lines == 0 && end - start >= 3 && memcmp(start, READER_MARK, 3) == 0)
        start += 3;
    if (end > start && end[-1] == '\r')
        end--;
    *end = '\0';
    *line = start;
    *length = (size_t)(end - start);
    reader->lines++;
    return ES_OK;
}

const char *es_reader_lines(const es_reader *reader, size_t *length)
{
    const char *start = reader->out + reader->out_at, *end = reader->out_at < reader->out_end ? memrchr(start, '\n', reader->out_end - reader->out_at) : NULL;
    *length = end && !reader->fault ? (size_t)(end - start) + 1 : 0;
    return start;
}

void es_reader_took(es_reader *reader, size_t bytes, uint64_t lines)
{
    reader->out_at += bytes;
    reader->lines += lines;
}

bool es_reader_line_ended(const es_reader *reader)
{
    return !reader->unended;
}

uint64_t es_reader_line_number(const es_reader *reader)
{
    return reader->lines;
}

const char *es_reader_path(const es_reader *reader)
{
    return reader->path;
}

void es_reader_sha256(const es_reader *reader, char hex[65])
{
    es_sha256_hex(&reader->sha, hex);
}

void es_reader_unhashed(es_reader *reader)
{
    reader->unhashed = true;
}

void es_reader_lenient(es_reader *reader, bool lenient)
{
    reader->asked = true;
    reader->lenient = lenient;
}

bool es_reader_cut(const es_reader *reader, uint64_t *bytes)
{
    *bytes = reader->made;
    return reader->cut;
}

void es_reader_close(es_reader *reader)
{
    if (!reader)
        return;
    if (reader->kind == READER_GZIP)
        inflateEnd(&reader->gzip);
    ZSTD_freeDStream(reader->zstd);
    if (!reader->lent && reader->fd >= 0)
        close(reader->fd);
    free(reader->path);
    free(reader->raw);
    free(reader->out);
    free(reader);
}
