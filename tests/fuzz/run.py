#!/usr/bin/env python3
"""Searches with the fuzzers and writes tests/fuzz/LOG.md: run.py BUILD [--minutes N | --runs N] [--jobs N] [--no-log] [NAME...]

BUILD is a build folder with -Dfuzz=true (see meson.build here). NAME is a reader (a folder of corpus/) or another target; absent: all. A row of
the log is one reader: how many inputs were executed in how many minutes of processor time (a busy machine searches no less) over all searches
that were logged, the commit of the last of them, and which part of the program's edges it reached. --runs executes so many inputs, the same at each call: what a check of a change wants,
whose answer must not depend on luck; a search for faults takes --minutes, and others each time. A finding ends the search of its reader; the input is shown for `base64 -d | gunzip`. What is new is not added to the corpus: with --keep,
of what reached something new the smallest inputs are (at most 24 for a reader, of at most 4 KiB), so that the corpus stays small."""
import argparse
import base64
import concurrent.futures
import gzip
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, 'corpus')
LOG = os.path.join(HERE, 'LOG.md')
OWN = ('buffers', 'config', 'json', 'native', 'places')           # targets of their own; every other folder is a reader
HEAD = """# Searches by the fuzzers

Written by `tests/fuzz/run.py`. One row is a reader: the commit that its last search was built from, inputs executed and minutes of processor time
in all searches, and of the last one: edges of the program reached of all it has (libhdf5 and other libraries not counted), inputs that reached
something new, and what was found.

| reader | commit | executions | minutes | edges reached | new inputs | found |
|---|---|---|---|---|---|---|
"""


def commit():
    done = subprocess.run(['git', '-C', HERE, 'rev-parse', '--short=10', 'HEAD'], capture_output=True, text=True)
    dirty = subprocess.run(['git', '-C', HERE, 'status', '--porcelain', '--untracked-files=no', '../..', ':(exclude)LOG.md'], capture_output=True, text=True)
    return done.stdout.strip() + ('+' if dirty.stdout.strip() else '') if done.returncode == 0 else 'unknown'


def rows():
    if not os.path.exists(LOG):
        return {}
    lines = [line.strip().strip('|').split('|') for line in open(LOG) if line.startswith('| ') and not line.startswith('| reader')]
    return {line[0].strip(): [cell.strip() for cell in line] for line in lines}


def log(row):
    """The row beside the others, with what earlier searches did added up."""
    table = rows()
    before = table.get(row[0])
    if before:
        row = row[:2] + [str(int(before[2]) + int(row[2])), '%.1f' % (float(before[3]) + float(row[3]))] + row[4:]
    save({**table, row[0]: row})


def save(table):
    with open(LOG, 'w') as f:
        f.write(HEAD)
        for name in sorted(table):
            f.write('| ' + ' | '.join(table[name]) + ' |\n')


def keep(name, found):
    """The smallest new inputs into the corpus."""
    here = os.path.join(CORPUS, name)
    new = sorted((os.path.getsize(os.path.join(found, f)), f) for f in os.listdir(found))
    room = 24 - sum(1 for f in os.listdir(here) if re.fullmatch('[0-9a-f]{40}', f))
    for size, file in [n for n in new if n[0] <= 4096][:max(room, 0)]:
        with open(os.path.join(found, file), 'rb') as src, open(os.path.join(here, file), 'wb') as to:
            to.write(src.read())


def execute(command, env):
    """What the fuzzer said, its exit status, and the processor seconds that it took."""
    with tempfile.TemporaryFile('w+', errors='replace') as said:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=env)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)        # it was waited for here: Popen must not look for it again
        said.seek(0)
        return said.read(), child.returncode, used.ru_utime + used.ru_stime


def show(text, folder, inputs):
    print('\n'.join(text.splitlines()[-60:]))
    for file in inputs:
        with open(os.path.join(folder, file), 'rb') as f:
            print('the input %s, for base64 -d | gunzip:\n%s' % (file, base64.encodebytes(gzip.compress(f.read(), mtime=0)).decode()))


def search(build, name, given):
    """The row of the log, and whether nothing was found."""
    target = os.path.join(build, 'tests', 'fuzz', 'fuzz_' + (name if name in OWN else 'reader'))
    env = dict({'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}, **os.environ)     # undefined behaviour is a finding, not a remark
    env['FUZZ_READER'] = name
    with tempfile.TemporaryDirectory() as folder:
        found = os.path.join(folder, 'corpus')
        os.mkdir(found)
        limits = ['-runs=%d' % given.runs, '-seed=1'] if given.runs else ['-max_total_time=%d' % max(1, min(60, given.minutes * 60))]
        # -timeout is wall time: an input that hangs must be told from a machine that does other work
        command = [target, *limits, '-timeout=300', '-rss_limit_mb=4096', '-close_fd_mask=1', '-print_final_stats=1', '-artifact_prefix=' + folder + os.sep,
                   found, os.path.join(CORPUS, name)]
        executed, seconds, code, share, found_text = 0, 0.0, 0, '-', 'nothing'
        while code == 0 and seconds < (1e-9 if given.runs else given.minutes * 60):
            text, code, used = execute(command, env)
            seconds += used
            executed += sum(map(int, re.findall(r'number_of_executed_units: *(\d+)', text)))
            reached, edges = re.findall(r'\bcov: (\d+)', text), re.search(r'\((\d+) inline 8-bit counters\)', text)
            share = '%s of %s' % (reached[-1], edges.group(1)) if reached and edges else share
        if code != 0:
            inputs = [f for f in os.listdir(folder) if re.match('(crash|leak|timeout|oom|slow-unit)-', f)]
            found_text = inputs[0].split('-')[0] if inputs else 'exit %d' % code
            show(text, folder, inputs)
        elif given.keep:
            keep(name, found)
        return [name, commit(), str(executed), '%.1f' % (seconds / 60.0), share, str(len(os.listdir(found))), found_text], code == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('build')
    parser.add_argument('names', nargs='*', metavar='NAME')
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--runs', type=int)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--no-log', action='store_true')
    parser.add_argument('--keep', action='store_true')
    given = parser.parse_intermixed_args()
    every = sorted(f for f in os.listdir(CORPUS) if os.path.isdir(os.path.join(CORPUS, f)))
    unknown = [n for n in given.names if n not in every]
    if unknown:
        sys.exit('run.py: there is no corpus/%s; there are %s' % (unknown[0], ', '.join(every)))
    clean = True
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for row, fine in pool.map(lambda name: search(given.build, name, given), given.names or every):
            clean = clean and fine
            print('%-20s %s executions, %s edges, %s new, found %s' % (row[0], *row[2:3], *row[4:]), flush=True)
            if not given.no_log:
                log(row)
    sys.exit(0 if clean else 1)


if __name__ == '__main__':
    main()
