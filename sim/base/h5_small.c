/* A small HDF5 file, made without the library: groups, attributes and texts, in memory until the file is closed and written with one call.
 *
 * The library takes over a millisecond for a file of ten kilobytes (it clears a cache of a megabyte whenever one is opened, and makes trees, chunks and
 * heaps for what fits a page), and a sweep may write a file per point. So here is the plainest file that the format has for the same content
 * (HDF5 File Format Specification, version 3.0, https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html): a superblock of version 2, an object header
 * of version 2 for each object with all its attributes and links, texts as contiguous bytes.
 *
 *     superblock | texts, in the order in which they came | headers, each behind those that it links to; the root's is the last
 *
 * Every number is little endian; "nowhere" is the address of what is not there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/arena.h"
#include "sim/base/h5_small.h"
#include "sim/base/text.h"

enum {
    SMALL_SUPERBLOCK = 48,
    SMALL_MESSAGE = 65000,              /* most bytes of a message, a name or value and what describes it: the format ends at 65535 */
    SMALL_CONSTANT = 1                  /* flag of a message that nobody is to change */
};
#define SMALL_NOWHERE UINT64_MAX

/* Kinds of messages, as the specification numbers them. */
enum { MESSAGE_SPACE = 1, MESSAGE_LINKS = 2, MESSAGE_TYPE = 3, MESSAGE_FILL = 5, MESSAGE_LINK = 6, MESSAGE_LAYOUT = 8, MESSAGE_GROUP = 10, MESSAGE_ATTRIBUTE = 12,
    MESSAGE_ATTRIBUTES = 21 };

typedef struct small_attribute {
    struct small_attribute *next;
    char *name, *value;
    size_t bytes;
    es_h5_type type;                    /* TEXT, I64 or F64 */
} small_attribute;

typedef struct small_node {             /* a group, or a text */
    struct small_node *next, *first;    /* of the same group; in this group */
    small_attribute *attribute;
    char *name;
    bool text;
    uint64_t at, length;                /* of the text's bytes */
    uint64_t header;                    /* its address, once it is written */
} small_node;

struct es_h5_small {
    es_arena arena;
    small_node root;
    es_text out;                        /* the file, as far as it is known */
};

/* ---- what is put ---- */

es_h5_small *es_h5_small_new(void)
{
    static const char nothing[SMALL_SUPERBLOCK];
    es_h5_small *small = calloc(1, sizeof *small);
    if (small)
        es_text_put(&small->out, nothing, sizeof nothing);
    return small;
}

void es_h5_small_free(es_h5_small *small)
{
    if (!small)
        return;
    es_arena_free(&small->arena);
    es_text_free(&small->out);
    free(small);
}

/* Where the member of this name is linked, or is to be: members stay in the order in which they came. */
static small_node **small_member(small_node *group, const char *name, size_t length)
{
    small_node **at = &group->first;
    while (*at && (strncmp((*at)->name, name, length) != 0 || (*at)->name[length] != '\0'))
        at = &(*at)->next;
    return at;
}

static small_node *small_find(es_h5_small *small, const char *path)
{
    small_node *node = &small->root;
    for (size_t length; node && *(path += strspn(path, "/")); path += length) {
        length = strcspn(path, "/");
        node = *small_member(node, path, length);
    }
    return node;
}

/* The object at PATH, a group unless it was there, with the groups above it. NULL: no memory. */
static small_node *small_make(es_h5_small *small, const char *path)
{
    small_node *node = &small->root;
    for (size_t length; *(path += strspn(path, "/")); path += length) {
        length = strcspn(path, "/");
        small_node **at = small_member(node, path, length);
        if (!*at) {
            small_node *made = ES_NEW(&small->arena, small_node);
            if (!made || !(made->name = es_arena_alloc(&small->arena, length + 1, 1)))
                return NULL;
            memcpy(made->name, path, length);
            *at = made;
        }
        node = *at;
    }
    return node;
}

es_code es_h5_small_group(es_h5_small *small, const char *path, es_err *err)
{
    return small_make(small, path) ? ES_OK : es_err_nomem(err, "a group");
}

es_code es_h5_small_text(es_h5_small *small, const char *path, const char *bytes, uint64_t length, es_err *err)
{
    if (small_find(small, path))
        return es_err_set(err, ES_EINPUT, "%s: cannot create: name already exists", path);
    small_node *node = small_make(small, path);
    if (node) {
        node->text = true;
        node->at = small->out.length;
        node->length = length;
        es_text_put(&small->out, bytes, (size_t)length);
    }
    return node && !small->out.failed ? ES_OK : es_err_nomem(err, "a text");
}

es_code es_h5_small_put(es_h5_small *small, const char *object, const char *name, es_h5_type type, const void *value, size_t bytes, es_err *err)
{
    small_node *node = small_find(small, object);
    if (!node)
        return es_err_set(err, ES_EINPUT, "%s: is missing", object);
    if (strlen(name) + bytes > SMALL_MESSAGE)
        return es_err_set(err, ES_EINTERNAL, "%s: attribute %.64s has more than %d bytes", object, name, SMALL_MESSAGE);
    small_attribute **at = &node->attribute;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    small_attribute *attribute = *at ? *at : ES_NEW(&small->arena, small_attribute);
    char *copy = es_arena_alloc(&small->arena, bytes, 1);
    if (!attribute || !copy || (!attribute->name && !(attribute->name = es_arena_text(&small->arena, name))))
        return es_err_nomem(err, "an attribute");
    memcpy(copy, value, bytes);
    attribute->value = copy;
    attribute->bytes = bytes;
    attribute->type = type;
    *at = attribute;
    return ES_OK;
}

/* ---- numbers and sums ---- */

static void small_number(es_text *out, uint64_t value, int bytes)
{
    char text[8];
    for (int i = 0; i < bytes; i++)
        text[i] = (char)(value >> 8 * i & 0xff);
    es_text_put(out, text, (size_t)bytes);
}

static void small_set(es_text *out, size_t at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes && !out->failed; i++)
        out->at[at + (size_t)i] = (char)(value >> 8 * i & 0xff);
}

static uint32_t small_word(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t small_turned(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

/* Jenkins' lookup3 (http://burtleburtle.net/bob/c/lookup3.c), which the format takes for all its sums: three words are stirred for every twelve bytes,
 * the last of which, filled up with zeros, in another way. */
static uint32_t small_sum(const char *bytes, size_t length)
{
    static const int stir[6] = {4, 6, 8, 16, 19, 4}, end[7] = {14, 11, 25, 16, 4, 14, 24};
    const unsigned char *at = (const unsigned char *)bytes;
    uint32_t w[3];
    w[0] = w[1] = w[2] = UINT32_C(0xdeadbeef) + (uint32_t)length;
    if (length == 0)
        return w[2];
    for (; length > 12; length -= 12, at += 12) {
        for (int i = 0; i < 3; i++)
            w[i] += small_word(at + 4 * i);
        for (int i = 0; i < 6; i++) {   /* each takes the one before it, as it turns, and gives the one behind it to that */
            uint32_t *x = &w[i % 3], *y = &w[(i + 1) % 3], *z = &w[(i + 2) % 3];
            *x -= *z;
            *x ^= small_turned(*z, stir[i]);
            *z += *y;
        }
    }
    unsigned char last[12] = {0};
    memcpy(last, at, length);
    for (int i = 0; i < 3; i++)
        w[i] += small_word(last + 4 * i);
    for (int i = 0; i < 7; i++) {       /* from the last on: c, a, b, c ... by the one before it */
        uint32_t *x = &w[(i + 2) % 3], *y = &w[(i + 1) % 3];
        *x ^= *y;
        *x -= small_turned(*y, end[i]);
    }
    return w[2];
}

/* ---- messages ---- */

static size_t message_begin(es_text *out, int kind, int flags)
{
    small_number(out, (uint64_t)kind, 1);
    small_number(out, 0, 2);            /* bytes, set at its end */
    small_number(out, (uint64_t)flags, 1);
    return out->length;
}

static void message_end(es_text *out, size_t from)
{
    small_set(out, from - 3, out->length - from, 2);
}

/* Types: class and version, bits that depend on the class, bytes, then what the class has more. */
static void small_type(es_text *out, es_h5_type type, size_t bytes)
{
    static const struct { uint8_t kind, bits[3]; } of[] = {
        [ES_H5_U8] = {0x10, {0x00, 0, 0}}, [ES_H5_I64] = {0x10, {0x08, 0, 0}},      /* fixed point; signed */
        [ES_H5_F64] = {0x11, {0x20, 0x3f, 0}},                                      /* mantissa with an implied 1; the sign is bit 63 */
        [ES_H5_TEXT] = {0x13, {0x11, 0, 0}}};                                       /* padded with 0, UTF-8 */
    small_number(out, of[type].kind, 1);
    es_text_put(out, (const char *)of[type].bits, 3);
    small_number(out, bytes, 4);
    if (type == ES_H5_TEXT)
        return;
    small_number(out, 0, 2);            /* where it begins, bits */
    small_number(out, 8 * bytes, 2);
    if (type == ES_H5_F64)
        es_text_put(out, "\x34\x0b\x00\x34\xff\x03\x00\x00", 8);    /* exponent from bit 52, 11 bits, mantissa from 0, 52 bits, bias 1023 */
}

/* A single value; or, with `length`, so many. */
static void small_space(es_text *out, const uint64_t *length)
{
    es_text_put(out, length ? "\2\1\0\1" : "\2\0\0\0", 4);          /* version, dimensions, nothing beyond them, simple or scalar */
    if (length)
        small_number(out, *length, 8);
}

static void small_attribute_message(es_text *out, const small_attribute *attribute)
{
    const size_t from = message_begin(out, MESSAGE_ATTRIBUTE, 0), name = strlen(attribute->name) + 1;
    small_number(out, 3, 1);
    small_number(out, 0, 1);
    small_number(out, name, 2);
    small_number(out, attribute->type == ES_H5_TEXT ? 8 : attribute->type == ES_H5_F64 ? 20 : 12, 2);
    small_number(out, 4, 2);
    small_number(out, 0, 1);            /* the name is ASCII */
    es_text_put(out, attribute->name, name);
    small_type(out, attribute->type, attribute->bytes);
    small_space(out, NULL);
    es_text_put(out, attribute->value, attribute->bytes);
    message_end(out, from);
}

/* Says that more of these (links of a group, attributes) are in no heap, so all are messages. */
static void small_nothing_beyond(es_text *out, int kind)
{
    const size_t from = message_begin(out, kind, 0);
    small_number(out, 0, 2);            /* version, flags */
    small_number(out, SMALL_NOWHERE, 8);
    small_number(out, SMALL_NOWHERE, 8);
    message_end(out, from);
}

static void small_group_messages(es_text *out, const small_node *group)
{
    small_nothing_beyond(out, MESSAGE_LINKS);
    size_t from = message_begin(out, MESSAGE_GROUP, SMALL_CONSTANT);
    small_number(out, 0, 2);
    message_end(out, from);
    for (const small_node *node = group->first; node; node = node->next) {
        const size_t length = strlen(node->name);
        from = message_begin(out, MESSAGE_LINK, 0);
        small_number(out, 1, 1);
        small_number(out, length < 256 ? 0 : 1, 1);                 /* bytes that the length takes: 1 << this */
        small_number(out, length, length < 256 ? 1 : 2);
        es_text_put(out, node->name, length);
        small_number(out, node->header, 8);
        message_end(out, from);
    }
}

static void small_text_messages(es_text *out, const small_node *text)
{
    size_t from = message_begin(out, MESSAGE_SPACE, 0);
    small_space(out, &text->length);
    message_end(out, from);
    from = message_begin(out, MESSAGE_TYPE, SMALL_CONSTANT);
    small_type(out, ES_H5_U8, 1);
    message_end(out, from);
    from = message_begin(out, MESSAGE_FILL, SMALL_CONSTANT);
    es_text_put(out, "\3\x0a", 2);      /* version; allocated late, filled only if somebody says with what */
    message_end(out, from);
    from = message_begin(out, MESSAGE_LAYOUT, 0);
    es_text_put(out, "\3\1", 2);        /* version, contiguous */
    small_number(out, text->length ? text->at : SMALL_NOWHERE, 8);
    small_number(out, text->length, 8);
    message_end(out, from);
}

/* ---- the file ---- */

static void small_header(es_text *out, small_node *node)
{
    for (small_node *member = node->first; member; member = member->next)
        small_header(out, member);
    const size_t start = node->header = out->length;
    es_text_put(out, "OHDR\2\2", 6);    /* version; the size that follows has 1 << 2 bytes */
    small_number(out, 0, 4);
    if (node->text)
        small_text_messages(out, node);
    else
        small_group_messages(out, node);
    small_nothing_beyond(out, MESSAGE_ATTRIBUTES);
    for (const small_attribute *attribute = node->attribute; attribute; attribute = attribute->next)
        small_attribute_message(out, attribute);
    small_set(out, start + 6, out->length - start - 10, 4);
    small_number(out, out->failed ? 0 : small_sum(out->at + start, out->length - start), 4);
}

static void small_superblock(es_text *out, uint64_t root)
{
    es_text head = {0};
    es_text_put(&head, "\211HDF\r\n\032\n\2\x8\x8\0", 12);          /* version; bytes of an address, of a length; nobody has it open */
    small_number(&head, 0, 8);
    small_number(&head, SMALL_NOWHERE, 8);
    small_number(&head, out->length, 8);
    small_number(&head, root, 8);
    small_number(&head, head.failed ? 0 : small_sum(head.at, head.length), 4);
    out->failed = out->failed || head.failed;
    if (!out->failed)
        memcpy(out->at, head.at, SMALL_SUPERBLOCK);
    es_text_free(&head);
}

es_code es_h5_small_write(es_h5_small *small, const char *path, es_err *err)
{
    small_header(&small->out, &small->root);
    small_superblock(&small->out, small->root.header);
    if (small->out.failed)
        return es_err_nomem(err, "an HDF5 file");
    FILE *file = fopen(path, "wb");
    if (!file)
        return es_err_set(err, ES_EINPUT, "%s: cannot create the HDF5 file: %s", path, strerror(errno));
    setvbuf(file, NULL, _IONBF, 0);
    bool fine = fwrite(small->out.at, 1, small->out.length, file) == small->out.length;
    int why = errno;
    if (fclose(file) != 0 && fine) {
        fine = false;
        why = errno;
    }
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot write: %s", path, strerror(why));
}
