"""How fast traces are read: imports.py [MEGABYTES] [FORMAT...]

A file of so many megabytes (100) is made for each text format out of a shared sample; then `trace info` (reads all of it), `trace import` and `wc -w`
(which looks at every byte too) take turns on it, three times, and the table has the best CPU time of each: user and system, for the machine does
other things. `--instructions` counts with valgrind instead, of `trace info` on a tenth of the file: instructions per byte, without those of the
SHA-256, for which valgrind has not the instructions that the processor has. Nothing ever fails here."""
import importlib.util
import os
import re
import resource
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'support')]
sys.dont_write_bytecode = True
import tool


def golden(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, '..', 'golden', name + '.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


formats, formats_json = golden('formats'), golden('formats_json')


def colibri(tokens):
    out, call = [], 0
    for phase, _, rows in formats.passes(tokens):
        for l in range(len(rows[0])):
            out += ['%d %d %d %s' % (call, t, row[l][0], ' '.join('%d:0.%04d' % (e, 4000 - 600 * i) for i, e in enumerate(row[l][1]))) for t, row in enumerate(rows)]
            call += 1
    return '\n'.join(out) + '\n'


def nntrainer(tokens):
    out = []
    for _, _, rows in formats.passes(tokens):
        for l in range(len(rows[0])):
            ids = [e for row in rows for e in row[l][1]]
            out.append('%d %d | %s | %s' % (rows[0][l][0], len(rows), ' '.join(map(str, dict.fromkeys(ids))), ' '.join(map(str, ids))))
    return '\n'.join(out) + '\n'


def exported(format):
    def write(tokens):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'c')
            with open(path, 'w') as f:
                f.write(colibri(tokens))
            tool.command([tool.TOOL, 'trace', 'export', path, '--as', format, '-o', path + '.out'])
            return open(path + '.out').read()
    return write


WRITERS = {'colibri': (colibri, []), 'nntrainer': (nntrainer, []), 'csv': (exported('csv'), []), 'jsonl': (exported('jsonl'), []), 'route_trace': (exported('route_trace'), [])}
WRITERS.update({write.__name__: (write, options) for write, _, options, _ in formats.WRITTEN + formats_json.WRITTEN})


def made(write, size, reference):
    """About `size` bytes: the prompt, and the generated tokens as often as it takes."""
    prompt, decode = [t for t in reference if t[0] == 'P'], [t for t in reference if t[0] == 'D']
    one = len(write(prompt + decode * 11)) - len(write(prompt + decode))
    return write(prompt + decode * max(1, int(10 * size / one)))


def seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def instructions(command, folder, size):
    out = os.path.join(folder, 'callgrind')
    subprocess.run(['valgrind', '--tool=callgrind', '--callgrind-out-file=' + out] + command, capture_output=True, check=True)
    text = subprocess.run(['callgrind_annotate', '--threshold=100', '--inclusive=yes', out], capture_output=True, text=True).stdout
    count = {name: int(re.search(r'^\s*([\d,]+)[^\n]*' + name, text, re.M).group(1).replace(',', '')) for name in ('PROGRAM TOTALS', 'es_sha256_add')}
    return (count['PROGRAM TOTALS'] - count['es_sha256_add']) / size


def main():
    counts = '--instructions' in sys.argv[1:]
    words = [w for w in sys.argv[1:] if w != '--instructions']
    size = int(words.pop(0)) * 10 ** 6 if words and words[0].isdigit() else 10 ** 8
    with tempfile.TemporaryDirectory() as folder:
        reference = formats.neutral(tool.trace('formats', 'bigmoeonedge.route.csv'), folder=folder)
        path, native = os.path.join(folder, 'x'), os.path.join(folder, 'x.h5')
        for name in words or WRITERS:
            write, options = WRITERS[name]
            with open(path, 'w', newline='') as f:
                f.write(made(write, size / 10 if counts else size, reference))
            got = os.path.getsize(path)
            info, load = [tool.TOOL, 'trace', 'info', path] + options, [tool.TOOL, 'trace', 'import', path, '-o', native] + options
            if counts:
                print('%-16s %6.1f instructions per byte' % (name, instructions(info, folder, got)), flush=True)
                continue
            times = [(seconds(info), seconds(load), seconds(['wc', '-w', path])) for _ in range(3)]
            read, imported, words_ = (min(column) for column in zip(*times))
            print('%-16s %5.0f MB  read %4.0f MB/s  import %4.0f MB/s  read in %.2f times the time of wc -w' % (name, got / 1e6, got / 1e6 / read, got / 1e6 / imported, read / words_), flush=True)


if __name__ == '__main__':
    tool.need_traces()
    main()
