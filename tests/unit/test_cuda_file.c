/* GPUDirect Storage, on a libcufile that reads into memory of the host: what it is refused for, what goes wrong, and both arms measured. */
#include "tests/support/calib_kit.h"

extern const es_probe es_probe_cuda;

#define LIBRARIES "\"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"none\""
#define WITH_FILE "{" LIBRARIES ", \"gds\": \"" ES_FAKE_CUFILE "\"}"

static es_code opened(machine *m, const char *fake, const char *options, es_err *err)
{
    setenv("FAKE_CUFILE", fake, 1);
    return machine_open(m, &es_probe_cuda, options, &(calib_ask){.quick = true, .most = 512 * KIB}, err);
}

/* Each is a reason to leave its rows out, none to stop. */
static void what_it_is_refused_for(void **state)
{
    (void)state;
    static const struct { const char *fake, *options, *says; } cases[] = {
        {"", "{" LIBRARIES ", \"gds\": \"none\"}", "gds: none was asked for"},
        {"", "{" LIBRARIES ", \"gds\": \"no_such_cufile.so\"}", "no GPUDirect Storage: no_such_cufile.so: cannot open shared object file: No such file or directory; "
            "name its library with --set gds=PATH"},
        {"", "{" LIBRARIES ", \"gds\": \"libm.so.6\"}", "this libcufile has no cuFileDriverOpen"},
        {"open", WITH_FILE, "GPUDirect Storage: its driver cannot be opened (cuFile error 5001)"},
        {"told", WITH_FILE, "GPUDirect Storage: what its driver can do is not told (cuFile error 5001)"},
        {"compat", WITH_FILE, "GPUDirect Storage may fall back to compatibility mode, which reads through the host: set \"allow_compat_mode\": false under \"properties\" "
            "in cufile.json (CUFILE_ENV_PATH_JSON names it)"},
        {"alone", WITH_FILE, "GPUDirect Storage has neither nvidia-fs nor P2PDMA here: load the module nvidia-fs"},
        {"file", WITH_FILE, "GPUDirect Storage: the file system of the scratch file does not take part (cuFile error 5027)"},
        {"buffer", WITH_FILE, "GPUDirect Storage: memory of the device cannot be registered (cuFile error 5017)"},
        {"", "{" LIBRARIES ", \"folder\": \"/nowhere\", \"gds\": \"" ES_FAKE_CUFILE "\"}",
            "/nowhere: cannot hold a scratch file that goes past the page cache: No such file or directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine m;
        es_err err = {0};
        fine(opened(&m, cases[i].fake, cases[i].options, &err), &err);
        bool disk = m.probe->facts(m.self).can & ES_PROBE_DISK;
        assert_int_equal(m.probe->facts(m.self).can & ES_PROBE_DIRECT, 0);
        if (disk || i + 1 == sizeof cases / sizeof *cases)      /* a folder that knows no O_DIRECT is the reason before all others */
            assert_string_equal(m.probe->why(m.self, ES_PROBE_DIRECT), cases[i].says);
        machine_close(&m);
    }
}

/* Both arms, of the same bytes, compared whole. */
static void both_arms_are_measured(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_err err = {0};
    fine(opened(&m, "", WITH_FILE, &err), &err);
    if (!(m.probe->facts(m.self).can & ES_PROBE_DISK)) {
        machine_close(&m);
        skip();
    }
    assert_true(m.probe->facts(m.self).can & ES_PROBE_DIRECT);
    size_t kept = 0;
    for (size_t i = 0; i < m.plan.count; i++)
        if (calib_rows[m.plan.at[i].row].op == CALIB_FETCH)
            m.plan.at[kept++] = m.plan.at[i];
    m.plan.count = kept;
    assert_int_equal(kept, 6);          /* 128, 256 and 512 KiB twice */
    fine(machine_measure(&m, ES_SECOND / 10, &samples, &err), &err);
    assert_int_equal(series_of(&samples, "disk.fetch")->count > 0, true);
    assert_int_equal(series_of(&samples, "disk.staged")->count > 0, true);
    m.probe->environment(m.self, samples.environment);
    assert_string_equal(es_json_at(samples.environment, "gds")->valuestring, "used, compatibility mode is off");
    calib_samples_free(&samples);
    machine_close(&m);
}

static void a_read_that_fails_says_so(void **state)
{
    (void)state;
    static const struct { const char *fake; int code; const char *says; } cases[] = {
        {"read", ES_EDEVICE, "GPUDirect Storage: reading %n bytes of the scratch file at %n: cuFile error 5001"},
        {"system", ES_EDEVICE, "GPUDirect Storage: reading %n bytes of the scratch file at %n: system error 5"},
        {"short", ES_EDEVICE, "GPUDirect Storage: %n of %n bytes came from the scratch file at %n"},
        {"other", ES_ECHECK, "disk.fetch: a copy of %n bytes brought other bytes than were sent, %n bytes before its end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine m;
        calib_samples samples;
        es_err err = {0};
        fine(opened(&m, cases[i].fake, WITH_FILE, &err), &err);
        if (!(m.probe->facts(m.self).can & ES_PROBE_DISK)) {
            machine_close(&m);
            skip();
        }
        machine_only(&m, "disk.fetch");
        es_code code = machine_measure(&m, ES_SECOND / 10, &samples, &err);
        if ((int)code != cases[i].code || !matches(err.text, cases[i].says))
            fail_msg("%s: exit code %d, \"%s\" instead of \"%s\"", cases[i].fake, (int)code, err.text, cases[i].says);
        calib_samples_free(&samples);
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_is_refused_for),
        cmocka_unit_test(both_arms_are_measured),
        cmocka_unit_test(a_read_that_fails_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
