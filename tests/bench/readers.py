"""How fast trace files are read: input per second of one core, beside `cat`, and instructions per byte of input where valgrind is there.

    readers.py [MEGABYTES]      default 100

Every file is the same kind of routing, 48 layers, 8 of 128 experts, one generated token a step. Times are of CPU, the best of three;
instructions are a slope between two lengths, without those of the hash (SHA-256: the CPU's own instructions, which valgrind has not).
No time ever fails this script. Environment as for bench.py: EXPERTSIM, BENCH_PROGRAMS, BENCH_COMPILER.
"""
import json
import os
import random
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'support'))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'fuzz'))
import tool
from seeds_binary import key, npy

LAYERS, TOP_K, EXPERTS, BLOCK = 48, 8, 128, 100
PROGRAM = os.path.join(os.environ.get('BENCH_PROGRAMS', os.path.join(os.path.dirname(tool.TOOL), 'tests')), 'bench_readers')
RUNS = 3


def plain(code):
    return lambda rows: b''.join(struct.pack('<%d%s' % (TOP_K, code), *row) for row in rows)


def moet(rows):
    return b''.join(struct.pack('<ii%di' % TOP_K, layer, 1, *row) for layer, row in enumerate(rows))


def pairs(rows):
    return b''.join(struct.pack('<II', layer, e) for layer, row in enumerate(rows) for e in row)


def rtrc(rows):
    return b''.join(struct.pack('<BIB%dB' % TOP_K, 1, 0, layer, *row) for layer, row in enumerate(rows))


def q4rt(rows):
    return b''.join(struct.pack('<%dH' % (2 * TOP_K), *row, *[0x4000 - 64 * i for i in range(TOP_K)]) for row in rows)


KEYS = [[struct.pack('<Q', key(layer, matrix)) for matrix in ('up', 'gate', 'down')] for layer in range(LAYERS)]


def ggml(rows):
    return b''.join(k + struct.pack('<I', e) for layer, row in enumerate(rows) for k in KEYS[layer] for e in row)


# format, head for a number of tokens, a token, whether layers and top-k are asked for
FORMATS = [
    ('npy', lambda n: npy('<i2', '(%d, %d, %d)' % (n, LAYERS, TOP_K), b''), plain('h'), False),
    ('raw_int32', lambda n: b'', plain('i'), True), ('raw_uint8', lambda n: b'', plain('B'), True),
    ('demand', lambda n: struct.pack('<III', n, LAYERS, TOP_K), plain('H'), False),
    ('moet', lambda n: b'MOET' + struct.pack('<II', EXPERTS, TOP_K), moet, False),
    ('rtrc', lambda n: b'RTRC' + bytes((1, LAYERS, TOP_K)) + struct.pack('<H', EXPERTS), rtrc, False),
    ('q4rt', lambda n: b'Q4RT' + struct.pack('<HHHHI', 1, LAYERS, EXPERTS, TOP_K, 0), q4rt, False),
    ('k3_pairs', lambda n: b'', pairs, False),
    ('fuctrace', lambda n: b'FUCTRCE1' + struct.pack('<IQ', LAYERS, n * LAYERS * TOP_K), pairs, False),
    ('ggml_fnv', lambda n: b'', ggml, False),
]


def write(path, head, token, size, rows):
    """A file of about `size` bytes; its bytes."""
    block = b''.join(token(random.choices(rows, k=LAYERS)) for _ in range(BLOCK))
    blocks = max(1, round(size / len(block)))
    with open(path, 'wb') as file:
        file.write(head(blocks * BLOCK))
        for _ in range(blocks):
            file.write(block)
    return os.path.getsize(path)


def cat(path):
    best = None
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(['cat', path], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = took if best is None else min(best, took)
    return best


def read(command):
    best = None
    for _ in range(RUNS):
        one = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        if best is None or one['open'] + one['read'] < best['open'] + best['read']:
            best = one
    return best


def instructions(command, folder):
    """All but those of the hash."""
    out = os.path.join(folder, 'callgrind')
    subprocess.run(['valgrind', '--tool=callgrind', '--callgrind-out-file=' + out] + command, capture_output=True, check=True)
    text = subprocess.run(['callgrind_annotate', '--inclusive=yes', '--threshold=100', out], capture_output=True, text=True, check=True).stdout
    total = int(re.search(r'([\d,]+).*PROGRAM TOTALS', text).group(1).replace(',', ''))
    hashed = re.search(r'([\d,]+) \([^)]*\)\s+\S*:?(?:\S*:)?es_sha256_add', text)
    return total - (int(hashed.group(1).replace(',', '')) if hashed else 0)


def main():
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    random.seed(1)
    rows = [random.sample(range(EXPERTS), TOP_K) for _ in range(3000)]
    print('%-10s %8s %8s %12s %10s %12s' % ('format', 'GB/s', 'reading', 'M accesses/s', 'cat took', 'instr./byte'))
    with tempfile.TemporaryDirectory() as folder:
        for name, head, token, asked in FORMATS:
            paths = [os.path.join(folder, which) for which in ('short', 'longer', 'long')]
            size = [write(path, head, token, bytes_, rows) for path, bytes_ in zip(paths, (2e6, 6e6, megabytes * 1e6))]
            command = [PROGRAM, name, None] + ([str(LAYERS), str(TOP_K)] if asked else [])
            took = read([paths[2] if part is None else part for part in command])
            count = ''
            if shutil.which('valgrind'):
                two = [instructions([path if part is None else part for part in command], folder) for path in paths[:2]]
                count = '%.2f' % ((two[1] - two[0]) / (size[1] - size[0]))
            all_of_it = took['open'] + took['read']
            print('%-10s %8.2f %8.2f %12.0f %9.0f%% %12s' % (name, size[2] / all_of_it / 1e9, size[2] / took['read'] / 1e9, took['accesses'] / all_of_it / 1e6,
                                                           100 * cat(paths[2]) / all_of_it, count), flush=True)
        native = os.path.join(folder, 'native.h5')
        write(paths[2], FORMATS[0][1], FORMATS[0][2], megabytes * 1e6, rows)
        subprocess.run([tool.TOOL, 'trace', 'import', paths[2], '--as', 'npy', '-o', native], capture_output=True, check=True)
        took = read([PROGRAM, 'native', native])
        print('%-10s %8.2f %8s %12.0f' % ('native', os.path.getsize(native) / (took['open'] + took['read']) / 1e9, '', took['accesses'] / (took['open'] + took['read']) / 1e6))


if __name__ == '__main__':
    main()
