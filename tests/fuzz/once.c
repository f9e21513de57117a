/* Once: runs a fuzz target over the files and folders named on the command line, for builds without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "tests/fuzz/fuzz.h"

enum { ONCE_MOST = 1 << 24 };           /* bytes of one input */

static int once_file(const char *path)
{
    char *data = NULL;
    size_t length = 0;
    es_err err = { 0 };
    if (es_file_load(path, ONCE_MOST, &data, &length, &err) != ES_OK) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    uint8_t *exact = malloc(length ? length : 1);   /* without the byte 0 behind: reading beyond the end shows */
    FUZZ_HOLDS(exact != NULL);
    memcpy(exact, data, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    free(data);
    return 1;
}

/* How many inputs were run; below 0: one could not be read. */
static int once_path(const char *path)
{
    struct dirent **entry;
    int count = scandir(path, &entry, NULL, alphasort), done = 0;
    if (count < 0)
        return once_file(path);
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name);
        int more = entry[i]->d_name[0] == '.' ? 0 : once_file(name);
        done = more < 0 || done < 0 ? -1 : done + more;
        free(entry[i]);
    }
    free(entry);
    return done;
}

int main(int argc, char **argv)
{
    int done = 0;
    for (int i = 1; i < argc && done >= 0; i++) {
        int more = once_path(argv[i]);
        done = more < 0 ? -1 : done + more;
    }
    printf("%d inputs\n", done);
    return done > 0 ? 0 : 1;
}
