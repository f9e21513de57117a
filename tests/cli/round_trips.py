"""From the native format to each that can be written and back: the digest of the content is the same, or what was lost was said before."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

CORPUS = os.path.join(ROOT, 'tests', 'fuzz', 'corpus')
SAMPLE = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5')


def call(*args):
    done = subprocess.run([tool.TOOL, 'trace'] + list(args), capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def content(path):
    code, out, err = call('check', path)
    return out.split('content ')[1].split()[0] if code == 0 else err.strip()


def neutral(path):
    return call('export', path, '-o', '-')[1]


def ids(path):
    """Neutral CSV without what stands behind the ids and without positions."""
    rows = [row.split(',') for row in neutral(path).splitlines()]
    width = sum(1 for name in rows[0] if name[0] == 'e' and name[1:].isdigit())
    return [row[2:4 + width] for row in rows[1:]]


def peak(path, times):
    """KiB that `trace info` needs at most for a log that many times as long as a small one."""
    with open(os.path.join(CORPUS, 'nntrainer', 'small')) as f:
        block = ''.join(f.readlines()[2:]) * 1000       # generated tokens: what is remembered of each request is no matter here
    with open(path, 'w') as f:
        for _ in range(times):
            f.write(block)
    child = subprocess.Popen([tool.TOOL, 'trace', 'info', path], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    os.unlink(path)
    return usage.ru_maxrss if status == 0 else 0


def main():
    check = tool.Check('round_trips')
    formats = {row['name']: row for row in json.loads(call('formats', '--json')[1])}
    check.equal('what can be written', sorted(n for n, row in formats.items() if row['write']), ['csv', 'jsonl', 'native', 'npy', 'route_trace'])
    check.equal('every format says what it is', [n for n, row in formats.items() if not row['brief']], [])
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)

        def there_and_back(name, native, format, end):
            written, back = path(name + '.' + format + end), path(name + '.' + format + '.h5')
            code, _, said = call('export', native, '--as', format, '-o', written)
            check.equal('%s to %s' % (name, format), (code, said if code else ''), (0, ''))
            code, _, fault = call('import', written, '-o', back)
            check.equal('%s back from %s' % (name, format), (code, fault if code else ''), (0, ''))
            return back, said

        natives = {'sample': SAMPLE}
        for kind, name in (('csv', 'requests'), ('csv', 'batched'), ('csv', 'both'), ('csv', 'everything'), ('route_trace', 'plain'), ('route_trace', 'small'), ('csv', 'small')):
            natives[kind + '_' + name] = path(kind + '_' + name + '.h5')
            call('import', os.path.join(CORPUS, kind, name), '-o', natives[kind + '_' + name])
        for name, native in natives.items():
            want = content(native)
            for end in ('', '.gz'):
                back, said = there_and_back(name, native, 'jsonl', end)
                check.equal('%s through jsonl%s loses nothing' % (name, end), (content(back), said), (want, ''))
            back, said = there_and_back(name, native, 'csv', '')
            same = content(back) == want
            check.equal('%s through csv' % name, (same or 'bytes of experts' in said, neutral(back) == neutral(native)), (True, True))
            code, _, fault = call('export', native, '--as', 'route_trace', '-o', path('r'))
            if name in ('csv_batched', 'csv_both'):
                check.equal('%s cannot be a route_trace' % name, (code, 'one request at a time' in fault), (2, True))
            elif name != 'csv_everything':
                back, said = there_and_back(name, native, 'route_trace', '')
                check.equal('%s through route_trace' % name, (content(back) == want or 'nan' in said or 'cannot be held' in said, ids(back) == ids(native)), (True, True))
        check.equal('predictions are said to be lost', 'recorded predictions cannot be held' in call('export', natives['csv_everything'], '--as', 'route_trace', '-o', path('r'))[2], True)
        composed = call('compose', natives['csv_everything'], natives['csv_everything'], '-o', path('c.h5'))
        check.equal('and what a composed trace has not: ' + composed[1] + composed[2], composed[1].split('\n')[3:], 2 * ['  left out of %s: residency, predictions' % natives['csv_everything']] + [''])
        for verb in ('info', 'check'):
            both = json.loads(call(verb, SAMPLE, natives['csv_both'], '--json')[1])
            check.equal('several files are a list: ' + verb, both, [json.loads(call(verb, file, '--json')[1]) for file in (SAMPLE, natives['csv_both'])])
        # a last token without its last layer is not a torn one
        with open(path('tail.csv'), 'w') as f:
            f.write('request_id,token_index,phase,layer,e0\n0,0,P,0,1\n0,0,P,1,3\n0,1,D,0,1\n0,1,D,1,2\n0,2,D,0,3\n0,2,D,1,\n')
        call('import', path('tail.csv'), '-o', path('tail.h5'))
        for format in ('csv', 'jsonl'):
            back, _ = there_and_back('tail', path('tail.h5'), format, '')
            check.equal('a last token of one layer through ' + format, content(back), content(path('tail.h5')))
            with open(path('tail.' + format)) as f:
                lines = f.read().split('\n')
            with open(path('torn'), 'w') as f:
                f.write('\n'.join(lines[:-2] + ['']))
            code, _, fault = call('import', path('torn'), '-o', path('torn.h5'))
            check.equal('and without its row it is: ' + fault, (code, 'layer 1 of it is missing, which other tokens have; --lenient leaves the token out' in fault), (2, True))
        check.equal('what route_trace cannot tell apart is said', 'the last token lacks its last 1 of 2 rows' in call('export', path('tail.h5'), '--as', 'route_trace', '-o', path('r'))[2], True)
        # experts that no token uses
        wide = path('wide.h5')
        check.equal('experts that are asked for', call('import', os.path.join(CORPUS, 'csv', 'requests'), '--experts', '300', '-o', wide)[0], 0)
        for format in ('jsonl', 'route_trace', 'npy', 'csv'):
            back, said = there_and_back('wide', wide, format, '')
            kept = json.loads(call('info', back, '--json')[1])['experts']
            check.equal('the number of experts through ' + format, (kept == 300, 'the number of experts, 300, cannot be held' in said), (format != 'csv', format == 'csv'))
        back = path('again.h5')
        call('import', path('wide.csv'), '--experts', '300', '-o', back)
        check.equal('and what was said gives it back', json.loads(call('info', back, '--json')[1])['experts'], 300)
        check.equal('nor is it said where an id shows it', 'number of experts' in call('export', SAMPLE, '-o', path('s.csv'))[2],
                    json.loads(call('info', path('s.csv'), '--json')[1])['experts'] != json.loads(call('info', SAMPLE, '--json')[1])['experts'])
        with open(path('wide.lens.json')) as f:
            beside = json.load(f)
        for experts, words in ((0, 'experts is no whole number from 1 to 65535'), ('x', 'experts is no whole number'), (1, 'is above 0, the highest')):
            with open(path('wide.lens.json'), 'w') as f:
                json.dump(dict(beside, experts=experts), f)
            code, _, fault = call('info', path('wide.npy'))
            check.equal('experts %r beside an array' % experts, (code, words in fault), (2, True))
        # arrays
        code, _, fault = call('export', natives['csv_both'], '--as', 'npy', '-o', path('b.npy'))
        check.equal('steps of several requests are no array', (code, 'requests one behind the other' in fault, os.path.exists(path('b.npy'))), (2, True, False))
        code, _, said = call('export', SAMPLE, '-o', path('s.npy'))
        check.equal('an array', code, 0)
        info = json.loads(call('info', SAMPLE, '--json')[1])
        data = open(path('s.npy'), 'rb').read()
        head = data[:data.index(b'\n')].decode('latin1')
        check.equal('its head', "(%d, %d, %d)" % (info['prompt_tokens'] + info['decode_tokens'], info['layers'], info['top_k']) in head, True)
        check.equal('its length', len(data) - len(head) - 1, 2 * (info['prompt_tokens'] + info['decode_tokens']) * info['layers'] * info['top_k'])
        lens = json.load(open(path('s.lens.json')))['lens']
        check.equal('its lengths', (len(lens), sum(p for p, _ in lens), sum(d for _, d in lens)), (info['requests'], info['prompt_tokens'], info['decode_tokens']))
        if formats['npy']['read']:
            back, _ = there_and_back('sample', SAMPLE, 'npy', '.npy')
            check.equal('the sample through npy', ids(back) == ids(SAMPLE), True)
        # several files
        code, _, fault = call('import', natives['csv_small'], natives['csv_small'], natives['csv_small'], '-o', path('three.h5'))
        three = json.loads(call('info', path('three.h5'), '--json')[1])
        check.equal('three files', (code, three['requests'], three['accesses'], three['provenance']['joined']), (0, 3, 48, 3))
        code, _, fault = call('import', natives['csv_small'], natives['csv_requests'], '-o', path('odd.h5'))
        check.equal('files of other shape', (code, 'layer numbers' in fault or 'cannot be continued' in fault, os.path.exists(path('odd.h5'))), (2, True, False))
        both = json.loads(call('info', SAMPLE, natives['csv_small'], '--json')[1])
        check.equal('what two files hold is one list', both, [json.loads(call('info', name, '--json')[1]) for name in (SAMPLE, natives['csv_small'])])
        for kind in ('lattice', 'colibri', 'ik_llama', 'nntrainer', 'npy', 'route_trace'):
            code, _, said = call('import', os.path.join(CORPUS, kind, 'small'), '-o', path('said.h5'))
            assumed = json.loads(call('info', os.path.join(CORPUS, kind, 'small'), '--json')[1]).get('assumed', [])
            check.equal('%s: an import says what info says' % kind, (code, said.splitlines()[0].split(': ')[1], [line.split('assumed: ')[1] for line in said.splitlines()[1:]]),
                        (0, 'read as ' + kind, assumed))
        for name in (SAMPLE, os.path.join(CORPUS, 'csv', 'small'), os.path.join(CORPUS, 'jsonl', 'small')):
            check.equal('nothing is said of what says all itself', call('import', name, '-o', path('said.h5'))[2], '')
        # what is asked and what is said
        cut = path('cut.txt')
        with open(os.path.join(CORPUS, 'colibri', 'small')) as f:
            open(cut, 'w').write(f.read()[:-3])
        code, _, fault = call('import', cut, '-o', path('cut.h5'))
        check.equal('a cut file', (code, 'line 8: the file ends here without a line feed' in fault), (2, True))
        code, _, said = call('import', cut, '--lenient', '-o', path('cut.h5'))
        check.equal('a cut file, lenient', (code, 'line 8, the last, is cut short; it was left out' in said), (0, True))
        again = json.loads(call('info', path('cut.h5'), '--json')[1])
        check.equal('the file remembers', [line for line in again['provenance']['assumed'] if 'left out' in line] != [], True)
        for args, words in ((['info', cut, '--layers', '0'], '--layers: found "0", needs a whole number from 1 to 4096'), (['info', cut, '--axes', 'kl'], '--axes: found "kl", needs tlk'),
                            (['export', SAMPLE, '--as', 'json', '-o', path('x')], 'did you mean jsonl?'), (['info', os.path.join(CORPUS, 'llama_trace', 'small')], '--top-k K says')):
            code, _, fault = call(*args)
            check.equal(' '.join(args[:1] + args[2:]), (code, words in fault), (2, True))
        for name, magic, words in (('x.pt', b'PK\3\4..', 'convert.py'), ('x.parquet', b'PAR1', 'convert.py'), ('x.csv', b'layer_id,expert_id,count\n0,1,5\n', 'counts how often')):
            open(path(name), 'wb').write(magic)
            code, _, fault = call('info', path(name))
            check.equal(name + ' is refused with the reason', (code, words in fault), (2, True))
        few, many = peak(path('long.txt'), 300), peak(path('long.txt'), 900)
        check.equal('three times the file, no more memory', 0 < many < 1.1 * few, True)
    check.close()


if __name__ == '__main__':
    main()
