"""Pipes and links, in and out. What comes through a pipe is what the file holds: standard input, /dev/stdin and a descriptor are looked at to know their format and then read from
their first byte, as often as it takes. Text with a
byte order mark is the text behind it. What is written to a named pipe goes through it, and what is written to a link goes where it leads: neither is replaced."""
import gzip
import json
import os
import stat
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

CORPUS = os.path.join(ROOT, 'tests', 'fuzz', 'corpus')
NEEDS = {'llama_trace': ['--top-k', '2'], 'q4rt': ['--top-k', '2'], 'counts': ['--top-k', '2'],
         'ds4.ids.bin': ['--layers', '30'], 'q4rt.bin': ['--top-k', '6']}
TEXT = ('colibri', 'csv', 'expert_fingerprint', 'ik_llama', 'imp', 'jsonl', 'kimi_linear', 'lark', 'lattice', 'llama_trace', 'megatron', 'moe_beyond', 'moe_cache_lab', 'moe_sim',
        'moelens', 'moepager', 'nntrainer', 'okuvshynov', 'onnx_genai', 'route_trace', 'routed_experts', 'speculative_moe', 'step_lists', 'stratamoe', 'vllm_log')
BINARY = ('counts', 'demand', 'fuctrace', 'ggml_fnv', 'imatrix', 'k3_pairs', 'moet', 'npy', 'q4rt', 'rtrc')
MARK = b'\xef\xbb\xbf'


def check_of(path, more=(), data=None, fds=()):
    """The digest of what is read, or what is said instead."""
    done = subprocess.run([tool.TOOL, 'trace', 'check', path] + list(more), input=data, pass_fds=fds, capture_output=True)
    out = done.stdout.decode()
    return out.split('content ')[1].split()[0] if done.returncode == 0 else done.stderr.decode().strip()


def through(path, data, more):
    """The same bytes by a descriptor of their own, as the shell's <( ) gives them."""
    feeder = subprocess.Popen(['cat', path], stdout=subprocess.PIPE)
    seen = check_of('/dev/fd/%d' % feeder.stdout.fileno(), more, fds=(feeder.stdout.fileno(),))
    feeder.stdout.close()
    feeder.wait()
    return seen


def piped(check, name, path, more):
    with open(path, 'rb') as f:
        data = f.read()
    want = check_of(path, more)
    check.equal('%s is read' % name, len(want), 64)
    check.equal('%s by standard input' % name, check_of('-', more, data), want)
    check.equal('%s by /dev/stdin' % name, check_of('/dev/stdin', more, data), want)
    check.equal('%s by a descriptor' % name, through(path, data, more), want)
    with open(path, 'rb') as f:
        done = subprocess.run([tool.TOOL, 'trace', 'check', '-'] + list(more), stdin=f, capture_output=True, text=True)
        check.equal('%s, the file itself as standard input' % name, want in done.stdout, True)
    check.equal('%s, compressed, by standard input' % name, check_of('-', more, gzip.compress(data)), want)


def marked(check, name, path, folder):
    with open(path, 'rb') as f:
        data = f.read()
    with open(os.path.join(folder, 'marked'), 'wb') as f:
        f.write(MARK + data)
    more = NEEDS.get(name, [])
    check.equal('%s behind a byte order mark' % name, check_of(os.path.join(folder, 'marked'), more), check_of(path, more))
    check.equal('%s behind a byte order mark, named' % name, check_of(os.path.join(folder, 'marked'), more + ['--as', name]), check_of(path, more))


def long_lines(check, folder):
    """More lines than are looked at, each 128 bytes long: none may be lost, nor a part of one."""
    path = os.path.join(folder, 'lattice.jsonl')
    with open(path, 'w') as f:
        for token in range(300):
            for layer in range(2):
                row = json.dumps({'layer_idx': layer, 'token_idx': token, 'selected_ids': [token % 7, 7 + layer], 'gate_weights': [0.75, 0.25]})
                f.write(row[:-1] + ' ' * (127 - len(row)) + '}\n')
    with open(path, 'rb') as f:
        data = f.read()
    out = os.path.join(folder, 'out.h5')
    done = subprocess.run([tool.TOOL, 'trace', 'import', '-', '-o', out], input=data, capture_output=True)
    check.equal('long lines', (done.returncode, check_of(out)), (0, check_of(path)))
    check.equal('long lines, all tokens', json.loads(tool.command([tool.TOOL, 'trace', 'info', out, '--json']))['decode_tokens'], 300)


def written(check, folder):
    """What a reader gets of a named pipe that -o names, against the file."""
    native = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')
    pipe = os.path.join(folder, 'out')
    os.mkfifo(pipe)

    def by_pipe(*args):
        got = os.path.join(folder, 'got')
        with open(got, 'wb') as f:
            reader = subprocess.Popen(['cat', pipe], stdout=f)
        subprocess.run([tool.TOOL, *args], capture_output=True)
        if not stat.S_ISFIFO(os.lstat(pipe).st_mode):
            reader.kill()
        reader.wait()
        with open(got, 'rb') as f:
            return f.read(), stat.S_ISFIFO(os.lstat(pipe).st_mode)

    def by_file(*args):
        path = os.path.join(folder, 'plain')
        tool.command([tool.TOOL, *[path if a == pipe else a for a in args]])
        with open(path, 'rb') as f:
            return f.read()
    for args in (['trace', 'export', native, '--as', 'csv', '-o', pipe], ['trace', 'export', native, '--as', 'jsonl', '-o', pipe],
                 ['trace', 'export', native, '--as', 'route_trace', '-o', pipe]):
        check.equal(' '.join(args[:2] + args[3:5]) + ' into a named pipe', by_pipe(*args), (by_file(*args), True))
    for args, words in ((['trace', 'export', native, '--as', 'npy', '-o', pipe], 'an array is written to a plain file'),
                        (['trace', 'export', native, '--as', 'native', '-o', pipe], 'is a pipe or a device, but HDF5 is written all over its file; give a plain one'),
                        (['trace', 'import', native, '-o', pipe], 'is a pipe or a device, but HDF5')):
        done = subprocess.run([tool.TOOL, *args], capture_output=True, text=True)
        check.equal(' '.join(args[:2] + args[3:5]) + ' is refused', (done.returncode, words in done.stderr, stat.S_ISFIFO(os.lstat(pipe).st_mode)), (2, True, True))
    os.mkdir(os.path.join(folder, 'far'))
    for end, extra in (('csv', []), ('jsonl', []), ('npy', []), ('h5', ['--as', 'native']), ('csv.zst', [])):
        link, real = os.path.join(folder, 'link.' + end), os.path.join(folder, 'far', 'real.' + end)
        os.symlink(os.path.join('far', 'real.' + end), link)
        for turn in ('a link to nothing', 'a link to a file'):
            tool.command([tool.TOOL, 'trace', 'export', native, '-o', link] + extra)
            check.equal('%s by %s' % (end, turn), (os.path.islink(link), os.path.isfile(real) and not os.path.islink(real), os.path.exists(real + '.tmp')), (True, True, False))
    check.equal('and what it leads to is the trace', check_of(os.path.join(folder, 'far', 'real.h5')), check_of(native))
    check.equal('zstd', open(os.path.join(folder, 'far', 'real.csv.zst'), 'rb').read(4), b'\x28\xb5\x2f\xfd')
    check.equal('what was compressed', check_of(os.path.join(folder, 'far', 'real.csv.zst')), check_of(os.path.join(folder, 'far', 'real.csv')))


def refused(check, folder):
    pipe = os.path.join(folder, 'pipe')
    os.mkfifo(pipe)
    check.equal('a named pipe without --as', 'pipe: is a named pipe, which gives its bytes once' in check_of(pipe), True)
    check.equal('a named pipe as an array', 'pipe: is a named pipe, which gives its bytes once' in check_of(pipe, ['--as', 'npy']), True)
    native = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')
    with open(native, 'rb') as f:
        check.equal('HDF5 as standard input', check_of(native) in subprocess.run([tool.TOOL, 'trace', 'check', '-'], stdin=f, capture_output=True, text=True).stdout, True)
    with open(native, 'rb') as f:
        check.equal('HDF5 through a pipe', check_of('-', (), f.read()), 'expertsim: standard input: holds HDF5, which is read from a file with a name and not through a pipe; '
                    'save it to one first')
    check.equal('nothing', check_of('-', (), b''), 'expertsim: standard input: is empty, needs a trace')
    check.equal('no scratch', 'TMPDIR names another folder' in subprocess.run([tool.TOOL, 'trace', 'check', '-'], input=b'x', capture_output=True,
                                                                             env=dict(os.environ, TMPDIR=os.path.join(folder, 'none'))).stderr.decode(), True)


def main():
    check = tool.Check('pipes')
    with tempfile.TemporaryDirectory() as folder:
        for name in TEXT + BINARY:
            kind = os.path.join(CORPUS, name)
            piped(check, name, os.path.join(kind, 'small' if os.path.exists(os.path.join(kind, 'small')) else sorted(os.listdir(kind))[0]), NEEDS.get(name, []))
        for name in TEXT:
            marked(check, name, os.path.join(CORPUS, name, 'small'), folder)
        long_lines(check, folder)
        written(check, folder)
        refused(check, folder)
    shared = os.path.join(tool.TRACES, 'formats')
    if os.path.isdir(shared):
        for name in sorted(set(os.listdir(shared)) - {'README.md', 'expected.json'}):
            piped(check, name, os.path.join(shared, name), NEEDS.get(name, []))
    else:
        print('pipes: there are no real traces at %s; the samples of each format are not piped' % tool.TRACES)
    check.close()


if __name__ == '__main__':
    main()
