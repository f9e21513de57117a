/* Draw: runs gnuplot on a figure's script, in the figure's folder. See plot.h. */
#include "plots/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/text.h"

extern char **environ;

/* Neither end reaches other programs that are started meanwhile. */
static bool draw_pipe(int said[2])
{
    return pipe(said) == 0 && fcntl(said[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(said[1], F_SETFD, FD_CLOEXEC) == 0;
}

/* What it says goes into the pipe; it reads nothing. */
static int draw_spawn(const char *script, const char *folder, const int said[2], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    char *args[] = {"gnuplot", "--default-settings", (char *)script, NULL};
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    if ((failed = posix_spawn_file_actions_addchdir_np(&actions, folder)) == 0 &&
        (failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
        (failed = posix_spawn_file_actions_adddup2(&actions, said[1], 1)) == 0 && (failed = posix_spawn_file_actions_adddup2(&actions, said[1], 2)) == 0)
        failed = posix_spawnp(pid, args[0], &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* All that is said, so that gnuplot never waits for a reader; kept is what fits. */
static void draw_listen(int from, char *text, size_t room)
{
    char drop[512];
    size_t used = 0;
    for (;;) {
        bool full = used + 1 >= room;
        ssize_t got = full ? read(from, drop, sizeof drop) : read(from, text + used, room - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += full ? 0 : (size_t)got;
    }
    text[used] = '\0';
}

/* The line that tells most: gnuplot echoes the command and a caret before it. */
static const char *draw_reason(char *text)
{
    char *best = text, *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (line[strspn(line, " \t^")] != '\0')
            best = line;
    return best + strspn(best, " \t");
}

es_code plot_draw(const char *name, const char *folder, bool *drawn, es_err *err)
{
    char script[160], text[4096];
    int said[2], status = 0;
    pid_t pid = 0;
    *drawn = false;
    snprintf(script, sizeof script, "%.128s.gp", name);
    if (!draw_pipe(said))
        return es_err_set(err, ES_EDEVICE, "%s: cannot talk to gnuplot: %s", name, strerror(errno));
    int failed = draw_spawn(script, folder, said, &pid);
    close(said[1]);
    if (!failed)
        draw_listen(said[0], text, sizeof text);
    close(said[0]);
    if (failed == ENOENT && access(folder, X_OK) == 0)
        return ES_OK;
    if (failed)
        return es_err_set(err, ES_EDEVICE, "%s: cannot run gnuplot in %s: %s", name, folder, strerror(failed));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return es_err_set(err, ES_EDEVICE, "%s/%s: gnuplot failed: %.600s", folder, script, draw_reason(text));
    *drawn = true;
    return ES_OK;
}
