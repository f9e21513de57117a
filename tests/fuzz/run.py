#!/usr/bin/env python3
"""Searches with the fuzzers and writes tests/fuzz/LOG.md: run.py BUILD [--minutes N | --seconds N] [--no-log] [NAME...]

BUILD is a build folder with -Dfuzz=true (see meson.build here). NAME is a reader (a folder of corpus/) or another target; absent: all. A row of
the log is one reader: the commit, how many inputs were executed in how many minutes, and which part of the program's edges they
reached. A finding ends the search of its reader; the input is shown for `base64 -d | gunzip`. What is new is not added to the corpus: with --keep,
of what reached something new the smallest inputs are (at most 24 for a reader, of at most 4 KiB), so that the corpus stays small."""
import argparse
import base64
import gzip
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, 'corpus')
LOG = os.path.join(HERE, 'LOG.md')
OWN = ('buffers', 'config', 'json', 'native')           # targets of their own; every other folder is a reader
HEAD = """# Searches by the fuzzers

Written by `tests/fuzz/run.py`. One row is the longest search of a reader since its last change that was logged: the commit it was built from, inputs
executed, minutes, edges of the program reached of all it has (libhdf5 and other libraries not counted), inputs that reached something new, and what was found.

| reader | commit | executions | minutes | edges reached | new inputs | found |
|---|---|---|---|---|---|---|
"""


def commit():
    done = subprocess.run(['git', '-C', HERE, 'rev-parse', '--short=10', 'HEAD'], capture_output=True, text=True)
    dirty = subprocess.run(['git', '-C', HERE, 'status', '--porcelain', '--untracked-files=no', '../..'], capture_output=True, text=True)
    return done.stdout.strip() + ('+' if dirty.stdout.strip() else '') if done.returncode == 0 else 'unknown'


def rows():
    if not os.path.exists(LOG):
        return {}
    lines = [line.strip().strip('|').split('|') for line in open(LOG) if line.startswith('| ') and not line.startswith('| reader')]
    return {line[0].strip(): [cell.strip() for cell in line] for line in lines}


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


def search(build, name, seconds, grow):
    """The row of the log, and whether nothing was found."""
    target = os.path.join(build, 'tests', 'fuzz', 'fuzz_' + (name if name in OWN else 'reader'))
    with tempfile.TemporaryDirectory() as folder:
        found = os.path.join(folder, 'corpus')
        os.mkdir(found)
        command = [target, '-max_total_time=%d' % seconds, '-timeout=10', '-rss_limit_mb=4096', '-close_fd_mask=1', '-print_final_stats=1',
                   '-artifact_prefix=' + folder + os.sep, found, os.path.join(CORPUS, name)]
        env = dict({'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1'}, **os.environ)     # undefined behaviour is a finding, not a remark
        env['FUZZ_READER'] = name
        done = subprocess.run(command, capture_output=True, text=True, errors='replace', env=env)
        text = done.stderr
        executed = re.findall(r'number_of_executed_units: *(\d+)', text)
        reached = re.findall(r'\bcov: (\d+)', text)
        edges = re.search(r'\((\d+) inline 8-bit counters\)', text)
        inputs = [f for f in os.listdir(folder) if re.match('(crash|leak|timeout|oom|slow-unit)-', f)]
        found_text = 'nothing'
        if done.returncode != 0:
            found_text = inputs[0].split('-')[0] if inputs else 'exit %d' % done.returncode
            sys.stdout.write('\n'.join(text.splitlines()[-60:]) + '\n')
            for file in inputs:
                with open(os.path.join(folder, file), 'rb') as f:
                    print('the input %s, for base64 -d | gunzip:\n%s' % (file, base64.encodebytes(gzip.compress(f.read(), mtime=0)).decode()))
        elif grow:
            keep(name, found)
        share = '%s of %s' % (reached[-1], edges.group(1)) if reached and edges else '-'
        row = [name, commit(), executed[-1] if executed else '-', '%.1f' % (seconds / 60.0), share, str(len(os.listdir(found))), found_text]
        return row, done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('build')
    parser.add_argument('names', nargs='*', metavar='NAME')
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--seconds', type=int)
    parser.add_argument('--no-log', action='store_true')
    parser.add_argument('--keep', action='store_true')
    given = parser.parse_intermixed_args()
    seconds = given.seconds or int(given.minutes * 60)
    every = sorted(f for f in os.listdir(CORPUS) if os.path.isdir(os.path.join(CORPUS, f)))
    unknown = [n for n in given.names if n not in every]
    if unknown:
        sys.exit('run.py: there is no corpus/%s; there are %s' % (unknown[0], ', '.join(every)))
    clean = True
    for name in given.names or every:
        row, fine = search(given.build, name, seconds, given.keep)
        clean = clean and fine
        print('%-20s %s executions, %s edges, %s new, found %s' % (name, row[2], row[4], row[5], row[6]), flush=True)
        if not given.no_log:
            table = rows()
            table[name] = row
            save(table)
    sys.exit(0 if clean else 1)


if __name__ == '__main__':
    main()
