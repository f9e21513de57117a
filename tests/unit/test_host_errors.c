/* What can go wrong on the host, by calls of the system that are made to fail at the n-th time: each has its message, and gives back what
 * it had taken. Linked with --wrap. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/calib_kit.h"

/* ---- the system ---- */

static const char *failing;     /* which call */
static long fails_at, called;
static size_t mapped;           /* bytes, in whole pages */
static int why;

static bool fails(const char *name)
{
    return failing && strcmp(failing, name) == 0 && ++called == fails_at;
}

static size_t paged(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* Where offsets are 64 bits wide by choice, the calls have names of their own. */
#define MMAP(name) \
    void *__real_##name(void *at, size_t bytes, int protection, int flags, int file, off_t offset); \
    void *__wrap_##name(void *at, size_t bytes, int protection, int flags, int file, off_t offset); \
    void *__wrap_##name(void *at, size_t bytes, int protection, int flags, int file, off_t offset) \
    { \
        if (fails("mmap")) { \
            errno = why; \
            return MAP_FAILED; \
        } \
        mapped += paged(bytes); \
        return __real_##name(at, bytes, protection, flags, file, offset); \
    }

/* A call whose failure is -1 and errno. */
#define CALL(result, name, as, parameters, arguments) \
    result __real_##name parameters; \
    result __wrap_##name parameters; \
    result __wrap_##name parameters \
    { \
        if (fails(as)) { \
            errno = why; \
            return -1; \
        } \
        return __real_##name arguments; \
    }

MMAP(mmap)
MMAP(mmap64)
CALL(int, mlock, "mlock", (const void *at, size_t bytes), (at, bytes))
CALL(ssize_t, pread, "pread", (int file, void *to, size_t bytes, off_t offset), (file, to, bytes, offset))
CALL(ssize_t, pread64, "pread", (int file, void *to, size_t bytes, off_t offset), (file, to, bytes, offset))
CALL(ssize_t, pwrite, "pwrite", (int file, const void *from, size_t bytes, off_t offset), (file, from, bytes, offset))
CALL(ssize_t, pwrite64, "pwrite", (int file, const void *from, size_t bytes, off_t offset), (file, from, bytes, offset))
CALL(int, fdatasync, "fdatasync", (int file), (file))

int __real_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes);
int __wrap_munmap(void *at, size_t bytes)
{
    mapped -= paged(bytes);
    return __real_munmap(at, bytes);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    return fails("pthread_create") ? why : __real_pthread_create(thread, attributes, run, arg);
}

/* ---- what comes of it ---- */

static es_code tried(const char *call, long at, int error, const char *options, es_err *err)
{
    machine m;
    calib_samples samples = {0};
    failing = call;
    fails_at = at;
    called = 0;
    mapped = 0;
    why = error;
    es_code code = machine_open(&m, &es_probe_host, options, &(calib_ask){.quick = true, .most = 256 * KIB}, err);
    if (code == ES_OK)
        code = machine_measure(&m, ES_SECOND / 1000, &samples, err);
    calib_samples_free(&samples);
    machine_close(&m);
    failing = NULL;
    return code;
}

static void every_call_that_fails_has_its_message(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        long at;
        int error, code;
        const char *says;
    } cases[] = {
        {"mmap", 2, ENOMEM, ES_EDEVICE, "out of memory: %n bytes: Cannot allocate memory"},     /* the first tries whether memory can be locked */
        {"mmap", 3, ENOMEM, ES_EDEVICE, "out of memory: %n bytes: Cannot allocate memory"},
        {"mmap", 4, ENOMEM, ES_EDEVICE, "out of memory: %n bytes: Cannot allocate memory"},
        {"mmap", 9, ENOMEM, ES_EDEVICE, "out of memory: %n bytes: Cannot allocate memory"},
        {"pthread_create", 1, EAGAIN, ES_EINTERNAL, "cannot start a thread for a copy engine: Resource temporarily unavailable"},
        {"pthread_create", 3, EAGAIN, ES_EINTERNAL, "cannot start a thread for a copy engine: Resource temporarily unavailable"},
        {"pthread_create", 7, EAGAIN, ES_EINTERNAL, "cannot start a thread that copies: Resource temporarily unavailable"},    /* behind six engines */
        {"pthread_create", 9, EAGAIN, ES_EINTERNAL, "cannot start a thread that copies: Resource temporarily unavailable"},
        {"pwrite", 1, ENOSPC, ES_EDEVICE, "the scratch file: writing %n bytes at 0: No space left on device"},
        {"pwrite", 2, EIO, ES_EDEVICE, "the scratch file: writing %n bytes at %n: Input/output error"},
        {"fdatasync", 1, EIO, ES_EDEVICE, "the scratch file: writing %n bytes at 0: Input/output error"},
        {"pread", 1, EIO, ES_EDEVICE, "the scratch file: reading %n bytes at %n: Input/output error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_err err = {0};
        es_code code = tried(cases[i].call, cases[i].at, cases[i].error, "{}", &err);
        bool disk = cases[i].call[0] == 'p' && cases[i].call[1] != 't';
        if (code == ES_OK && called < cases[i].at && (disk || strcmp(cases[i].call, "fdatasync") == 0 || strcmp(cases[i].call, "mlock") == 0))
            continue;               /* here is no disk past the page cache, or memory cannot be locked: it was never called */
        if ((int)code != cases[i].code || !matches(err.text, cases[i].says))
            fail_msg("%s at %ld: exit code %d, \"%s\" instead of %d, \"%s\"", cases[i].call, cases[i].at, (int)code, err.text, cases[i].code, cases[i].says);
        assert_int_equal(mapped, 0);
    }
}

/* Whichever mapping is refused, what came before it is given back. */
static void every_mapping_may_be_refused(void **state)
{
    (void)state;
    int failed = 0;
    es_code code = ES_EDEVICE;
    for (long at = 1; called >= at - 1 && at < 30; at++) {
        es_err err = {0};
        code = tried("mmap", at, ENOMEM, "{\"folder\": \"/nowhere\"}", &err);
        assert_true(code == ES_OK || (code == ES_EDEVICE && matches(err.text, "out of memory: %n bytes: Cannot allocate memory")));
        assert_int_equal(mapped, 0);
        failed += code != ES_OK;
    }
    assert_true(failed >= 5);
}

/* Lowers the limit on locked memory for what is tried in between, or lifts it as far as may be. */
static bool limited(rlim_t bytes, struct rlimit *before)
{
    if (getrlimit(RLIMIT_MEMLOCK, before) != 0)
        return false;
    struct rlimit low = {bytes < before->rlim_max ? bytes : before->rlim_max, before->rlim_max};
    return setrlimit(RLIMIT_MEMLOCK, &low) == 0 && low.rlim_cur == bytes;
}

#define LIFTS " (RLIMIT_MEMLOCK): `ulimit -l unlimited` in the same shell lifts it, or as root a line \"USER - memlock unlimited\" in " \
    "/etc/security/limits.conf and a new login"

static void a_limit_on_locked_memory_leaves_its_row_out(void **state)
{
    (void)state;
    machine m;
    es_err err = {0};
    struct rlimit before;
    assert_true(limited(1 << 20, &before));
    failing = "mlock";
    fails_at = 1;
    called = 0;
    why = ENOMEM;
    fine(machine_open(&m, &es_probe_host, "{\"folder\": \"/nowhere\"}", &(calib_ask){.quick = true, .most = 256 * KIB}, &err), &err);
    failing = NULL;
    setrlimit(RLIMIT_MEMLOCK, &before);
    assert_int_equal(m.probe->facts(m.self).can & ES_PROBE_LOCKS, 0);
    assert_string_equal(m.probe->why(m.self, ES_PROBE_LOCKS), "cannot lock 64 MiB of memory, the limit is 1 MiB" LIFTS);
    assert_string_equal(m.probe->why(m.self, ES_PROBE_DISK), "/nowhere: cannot hold a scratch file that goes past the page cache: No such file or directory");
    machine_close(&m);
}

/* The trial is let through, the pool is not: what is missing is told by the limit where that is the reason, and by the memory where it is not. */
static void memory_that_cannot_be_locked_says_what_to_do(void **state)
{
    (void)state;
    static const struct {
        rlim_t limit;
        const char *says;
    } cases[] = {
        {1 << 20, " of memory, the limit is 1 MiB" LIFTS},
        {RLIM_INFINITY, " of memory: Cannot allocate memory: so much is not free, --most with a smaller size needs less"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_err err = {0};
        struct rlimit before;
        if (!limited(cases[i].limit, &before))
            continue;           /* the hard limit is lower, and only root lifts it */
        es_code code = tried("mlock", 2, ENOMEM, "{\"folder\": \"/nowhere\"}", &err);
        setrlimit(RLIMIT_MEMLOCK, &before);
        if (code == ES_OK && called < 2)
            continue;           /* this machine locks nothing at all */
        const char *said = strstr(err.text, " of memory");      /* how much depends on the caches of this machine */
        if (code != ES_EDEVICE || strncmp(err.text, "cannot lock ", 12) != 0 || !said || strcmp(said, cases[i].says) != 0)
            fail_msg("exit code %d, \"%s\" instead of \"%s\"", (int)code, err.text, cases[i].says);
        assert_int_equal(mapped, 0);
    }
}

static void a_library_of_products_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    es_err err = {0};
    assert_int_equal(tried(NULL, 0, 0, "{\"blas\": \"/no/such/blas.so\"}", &err), ES_EDEVICE);
    assert_string_equal(err.text, "blas: /no/such/blas.so cannot be loaded or has no cblas_sgemm and cblas_sgemv; --set blas=none computes with own loops");
    assert_int_equal(mapped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_that_fails_has_its_message),
        cmocka_unit_test(every_mapping_may_be_refused),
        cmocka_unit_test(a_limit_on_locked_memory_leaves_its_row_out),
        cmocka_unit_test(memory_that_cannot_be_locked_says_what_to_do),
        cmocka_unit_test(a_library_of_products_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
