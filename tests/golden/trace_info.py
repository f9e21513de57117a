"""trace info: every number that it says of a trace, counted again here from the rows, by other means: of real traces, and of random batches
with short and missing rows. Independent: dictionaries and sets of Python over the text, nothing of the tool."""
import csv
import gzip
import hashlib
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

REAL = ['gpt-oss-20b-decode/trace.csv.gz', 'bigmoeonedge-qwen3-30b-k6/trace.csv.gz', 'bigmoeonedge-gpt-oss-120b-k2/trace.csv.gz', 'deepseek-moe-16b-prefill/trace.csv.gz',
        'switch-base-8-encoder/trace.csv.gz', 'oversize-case/trace.csv.gz']


def rows_of(text):
    """(step, request, position, phase, layer, ids); without a column step a prompt is one, and every generated token."""
    out = []
    for row in csv.DictReader(text):
        request, position, phase = int(row['request_id']), int(row['token_index']), row['phase']
        step = int(row['step']) if 'step' in row else (request, phase, position if phase == 'D' else 0)
        ids = [int(v) for name, v in row.items() if name[0] == 'e' and name[1:].isdigit() and v]
        out.append((step, request, position, phase, int(row['layer']), ids))
    return out


def counted(rows):
    tokens = {(r[1], r[2]): r[3] for r in rows}
    layers = {r[4] for r in rows if r[5]} or {r[4] for r in rows}
    unions = {'P': {}, 'D': {}}
    for step, _, _, phase, layer, ids in rows:
        if ids:
            unions[phase].setdefault((step, layer), set()).update(ids)
    return {
        'layers': len(layers), 'experts': 1 + max(e for r in rows for e in r[5]), 'top_k': max(len(r[5]) for r in rows), 'requests': len({r[1] for r in rows}),
        'steps': len({r[0] for r in rows}), 'prompt_tokens': sum(p == 'P' for p in tokens.values()), 'decode_tokens': sum(p == 'D' for p in tokens.values()),
        'accesses': sum(len(r[5]) for r in rows), 'decode_events': len(unions['D']), 'decode_union_accesses': sum(map(len, unions['D'].values())),
        'prefill_union_accesses': sum(map(len, unions['P'].values())), 'missing_cells': len(tokens) * len(layers) - sum(bool(r[5]) for r in rows),
    }


def batches(rng):
    """Neutral CSV of steps that several requests share; rows are left out, cut short and empty."""
    experts, k, layers = rng.randint(4, 40), rng.randint(1, 4), sorted(rng.sample(range(12), rng.randint(1, 5)))
    at, lines = {}, ['step,request_id,token_index,phase,layer,' + ','.join('e%d' % i for i in range(k))]
    for step in range(rng.randint(3, 30)):
        phase = rng.choice('PD')
        for request in sorted(rng.sample(range(6), rng.randint(1, 4))):
            for _ in range(rng.randint(1, 5) if phase == 'P' else 1):
                position = at[request] = at.get(request, -1) + 1
                kept = [l for l in layers if rng.random() < 0.9] or layers[:1]
                for layer in kept:
                    ids = rng.sample(range(experts), rng.choice([k, k, k, rng.randint(0, k)]))
                    lines.append('%d,%d,%d,%s,%d,%s' % (step, request, position, phase, layer, ','.join(map(str, ids + [''] * (k - len(ids))))))
    return '\n'.join(lines) + '\n'


def info_of(path):
    return json.loads(tool.command([tool.TOOL, 'trace', 'info', path, '--json']))


def drawn(check, folder):
    path, native = os.path.join(folder, 't.csv'), os.path.join(folder, 't.h5')
    for seed in range(60):
        text = batches(random.Random(seed))
        want = counted(rows_of(text.splitlines()))
        if want['accesses'] == 0 or len({line.split(',')[4] for line in text.splitlines()[1:]}) != want['layers']:
            continue                    # a layer that occurs in empty rows only
        with open(path, 'w') as f:
            f.write(text)
        tool.command([tool.TOOL, 'trace', 'import', path, '-o', native])
        want['top_k'] = sum(name[0] == 'e' for name in text.split('\n')[0].split(','))
        for name in (path, native):
            info = info_of(name)
            check.equal('batches %d, %s' % (seed, info['format']), {key: info[key] for key in want}, want)


def real(check):
    for name in REAL:
        path = os.path.join(tool.TRACES, name)
        if not os.path.exists(path):
            print('SKIP: there is no real trace', path)
            continue
        with gzip.open(path, 'rt') as f:
            want = counted(rows_of(f))
        with open(path, 'rb') as f:
            want['sha256'] = hashlib.sha256(f.read()).hexdigest()
        info = info_of(path)
        check.equal(name, {key: info[key] for key in want}, want)


def main():
    check = tool.Check('trace_info')
    with tempfile.TemporaryDirectory() as folder:
        drawn(check, folder)
    real(check)
    check.close()


if __name__ == '__main__':
    main()
