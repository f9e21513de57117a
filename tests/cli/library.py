"""libexpertsim as a stranger uses it: a program is compiled against an installed prefix by pkg-config, and does what the tool does."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

PROGRAM = r'''
#include <stdio.h>
#include <string.h>
#include "sim/expertsim.h"

/* Prints a text and gives it back; of an error its code and its sentence. */
static void say(es_code code, char *text, const es_err *err)
{
    if (code)
        printf("%d %s\n", (int)code, err->text);
    else
        printf("%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
    es_free(text);
}

int main(int argc, char **args)
{
    static const char *const sets[] = {"policy=fifo", "bounds=false"};
    static const char untimed[] = "{\"trace\": {\"path\": \"traces/samples/quickstart.h5\"}, \"clock\": \"none\","
        "\"tiers\": {\"cache\": {\"capacity\": \"9slots\", \"compute\": \"gpu\"}, \"host\": {\"home\": true}}}";
    char *text = NULL;
    es_err err = {ES_OK, ""};
    const char *what = argc > 1 ? args[1] : "", *of = argc > 2 ? args[2] : NULL;
    es_code code = ES_OK;
    if (strcmp(what, "run") == 0)
        code = es_simulate(of, sets, 2, &text, &err);
    else if (strcmp(what, "text") == 0)
        code = es_simulate_text(untimed, NULL, 0, &text, &err);
    else if (strcmp(what, "resolve") == 0)
        code = es_resolve(of, sets, 2, &text, &err);
    else if (strcmp(what, "list") == 0)
        code = es_list(of, &text, &err);
    else if (strcmp(what, "describe") == 0)
        code = es_describe(of, &text, &err);
    else if (strcmp(what, "schema") == 0)
        code = es_schema(&text, &err);
    else
        return printf("expertsim %s\n", es_version()) < 0;
    say(code, text, &err);
    return (int)code;
}
'''


def main():
    check = tool.Check('library')
    with tempfile.TemporaryDirectory() as folder:
        says_config = tool.installed(folder)
        if says_config is None:
            print('SKIP: the tool lies in no build folder of meson')
            sys.exit(77)
        flags = {words: says_config(words) for words in ('--cflags', '--libs')}
        compiler = os.environ.get('CC', 'cc').split()
        source, program = os.path.join(folder, 'program.c'), os.path.join(folder, 'program')
        with open(source, 'w') as f:
            f.write(PROGRAM)
        tool.command(compiler + ['-std=c17', '-Wall', '-Wextra', '-Werror'] + flags['--cflags'] + [source, '-o', program] + flags['--libs'])

        def says(*args):
            done = subprocess.run([program] + list(args), capture_output=True, text=True, cwd=ROOT)
            check.equal('nothing on stderr', done.stderr, '')
            return done.returncode, done.stdout

        def tells(*args):
            return tool.command([os.path.abspath(tool.TOOL)] + list(args), cwd=ROOT)

        quickstart = 'configs/quickstart.json'
        sets = ['--set', 'policy=fifo', '--set', 'bounds=false']
        check.equal('version', says(), (0, tells('--version')))
        check.equal('run', says('run', quickstart), (0, tells('run', quickstart, '--json', *sets)))
        check.equal('text', json.loads(says('text')[1])['capacity']['slots_or_bytes'], 9)
        check.equal('resolve', json.loads(says('resolve', quickstart)[1]), json.loads(tells('run', quickstart, '--json', *sets))['provenance']['config'])
        check.equal('list', says('list', 'policy'), (0, tells('list', 'policy')))
        check.equal('describe', says('describe', 'lfu'), (0, tells('describe', 'lfu')))
        check.equal('schema', says('schema'), (0, tells('schema')))
        check.equal('an error is a sentence', says('run', 'none.json'), (2, '2 none.json: cannot open: No such file or directory\n'))
        check.equal('of a part too', says('describe', 'lruu'), (2, '2 nothing is called "lruu"; did you mean "lru"?\n'))

        # every installed header can be read alone, by C and by C++ where it says so
        top = flags['--cflags'][0][2:]
        headers = sorted(os.path.relpath(os.path.join(place, name), top) for place, _, names in os.walk(top) for name in names)
        check.equal('headers are installed', 'sim/expertsim.h' in headers and 'sim/part/policy.h' in headers, True)
        alone = os.path.join(folder, 'alone.c')
        with open(alone, 'w') as f:
            f.write(''.join('#include "%s"\n' % name for name in reversed(headers)))
        tool.command(compiler + ['-std=c17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only'] + flags['--cflags'] + [alone])
        if shutil.which('c++'):
            tool.command(['c++', '-fsyntax-only', '-Wall', '-Werror', '-x', 'c++'] + flags['--cflags'] + [os.path.join(top, 'sim', 'expertsim.h')])
        example = re.search(r'^ \*     (char \*json.*?) \*\n', open(os.path.join(ROOT, 'sim', 'expertsim.h')).read(), re.M | re.S).group(1)
        with open(alone, 'w') as f:
            f.write('#include <stdio.h>\n#include "sim/expertsim.h"\nint main(void)\n{\n%s\n}\n' % example.replace('\n *', '\n'))
        tool.command(compiler + ['-std=c17', '-Wall', '-Wextra', '-Werror', '-fsyntax-only'] + flags['--cflags'] + [alone])
    check.close()


if __name__ == '__main__':
    main()
