/* expertsim sweep run, its folder: names of results, plan, what was left there. See sweep_runner.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/cli/sweep_runner.h"

/* ---- names ---- */

void sweep_run_path(const sweep_runner *r, const char *id, const char *suffix, char *path, size_t room)
{
    snprintf(path, room, "%s/points/%s%s", r->args->out, id, suffix);
}

/* What a point writes before it has its own name. Host and process are part of it: two runs that write the same point at once, for they were
 * started as different parts of the same sweep, must not write the same file. */
void sweep_run_temporary(const sweep_runner *r, const char *id, char *path, size_t room)
{
    snprintf(path, room, "%s/points/%s.h5.%s-%ld.tmp", r->args->out, id, r->host, r->pid);
}

/* ---- in the process that gives names ---- */

static es_code run_flush(const char *path, es_err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool fine = file >= 0 && fsync(file) == 0;
    int why = errno;
    if (file >= 0)
        close(file);
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", path, strerror(why));
}

/* Flushes all that was written to the file system of the results in one go, which takes as long as flushing one file. False: it cannot be
 * done, or something was not written and has to be found. */
static bool run_flush_all(const sweep_runner *r)
{
#ifdef __linux__
    return r->folder >= 0 && syncfs(r->folder) == 0;
#else
    (void)r;
    return false;
#endif
}

/* First all are flushed, then all are renamed. */
es_code sweep_run_name(const sweep_runner *r, size_t from, size_t to, es_err *err)
{
    char temporary[4096], path[4096];
    es_code code = ES_OK;
    for (int pass = to - from > 1 && run_flush_all(r); pass < 2; pass++)
        for (size_t i = from; i < to; i++) {
            const char *id = es_sweep_at(r->sweep, r->written[i])->id;
            sweep_run_temporary(r, id, temporary, sizeof temporary);
            sweep_run_path(r, id, ".h5", path, sizeof path);
            if (access(temporary, F_OK) != 0)       /* it has its name: somebody was stopped between the two */
                continue;
            if (pass == 0 && run_flush(temporary, err) != ES_OK) {
                unlink(temporary);
                code = ES_EINPUT;
            }
            if (pass == 1 && rename(temporary, path) != 0)
                code = es_err_set(err, ES_EINPUT, "%s: cannot be replaced: %s", path, strerror(errno));
        }
    snprintf(path, sizeof path, "%s/points", r->args->out);
    run_flush(path, NULL);              /* the names; not every file system can */
    return code;
}

/* ---- the folder ---- */

/* A folder may be used again for the same sweep, also when the sweep has grown, for points are told apart by what they are. */
static es_code run_folder_fits(const sweep_runner *r, const char *path, const char *text, bool *same, es_err *err)
{
    es_json *old = NULL;
    char *was = NULL;
    *same = false;
    if (access(path, F_OK) != 0)
        return ES_OK;
    es_code code = es_json_load_text(&old, &was, path, err);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(old, "name"));
    if (code == ES_OK && (!name || strcmp(name, es_sweep_name(r->sweep)) != 0))
        code = es_err_set(err, ES_EINPUT, "%s: holds the sweep \"%s\", not \"%s\"; give another folder with -o", r->args->out, name ? name : "?", es_sweep_name(r->sweep));
    *same = code == ES_OK && strcmp(was, text) == 0;
    cJSON_Delete(old);
    free(was);
    return code;
}

/* All parts of a sweep may begin at the same moment, each with the same plan: every one writes its own and renames it. */
static es_code run_plan(const sweep_runner *r, const char *path, const char *text, es_err *err)
{
    char temporary[4096];
    sweep_run_temporary(r, "plan", temporary, sizeof temporary);
    es_code code = es_file_save(temporary, text, strlen(text), err);
    if (code == ES_OK && rename(temporary, path) != 0) {
        code = es_err_set(err, ES_EINPUT, "%s: cannot be replaced: %s", path, strerror(errno));
        unlink(temporary);
    }
    return code;
}

es_code sweep_run_folder(const sweep_runner *r, es_err *err)
{
    char path[4096];
    bool same = false;
    es_json *plan = es_sweep_plan(r->sweep);
    char *text = plan ? es_json_text(plan) : NULL;
    cJSON_Delete(plan);
    snprintf(path, sizeof path, "%s/plan.json", r->args->out);
    es_code code = text ? run_folder_fits(r, path, text, &same, err) : es_err_nomem(err, "the plan");
    if (code == ES_OK) {
        char points[4096];
        snprintf(points, sizeof points, "%s/points", r->args->out);
        code = es_file_make_dirs(points, err);
    }
    if (code == ES_OK && !same)
        code = run_plan(r, path, text, err);
    free(text);
    return code;
}

/* Can results be written here? Better known now than by every point. And what a process does first of all (binding the calls of the HDF5
 * library, setting it up) is done once, before they are forked: that is a millisecond of every point. */
es_code sweep_run_try(const sweep_runner *r, es_err *err)
{
    char path[4096];
    es_json *nothing = cJSON_CreateObject();
    sweep_run_temporary(r, "try", path, sizeof path);
    es_json_add_object(es_json_add_object(nothing, "provenance"), "config");
    es_code code = nothing ? es_result_write_h5(nothing, NULL, path, err) : es_err_nomem(err, "a result");
    cJSON_Delete(nothing);
    unlink(path);
    return code;
}

/* What runs on this host left that are no more. */
void sweep_run_clean(const sweep_runner *r)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/points", r->args->out);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char *at = strstr(entry->d_name, ".h5."), *end;
        size_t host = strlen(r->host);
        if (!at || strncmp(at + 4, r->host, host) != 0 || at[4 + host] != '-')
            continue;
        long pid = strtol(at + 5 + host, &end, 10);
        bool mine = strcmp(end, ".tmp") == 0 || strcmp(end, ".tmp.tmp") == 0;   /* the second: what es_file_save writes first */
        if (mine && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
}
