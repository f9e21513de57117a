"""trace check: a trace that has nothing wrong with it, the same with one fault planted each, and real traces whose faults are known. What is
found, its figure and its first place are worked out here, beside the fault."""
import csv
import gzip
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
LAYERS, EXPERTS, K = 4, 32, 4


class Row:
    def __init__(self, request, token, phase, layer, ids, weights):
        self.request, self.token, self.phase, self.layer, self.ids, self.weights = request, token, phase, layer, ids, weights


def routing(rng, tokens, layers=LAYERS, experts=EXPERTS, k=K):
    """[token][layer][k]: some experts are liked more, and most stay from token to token, as in recorded routing."""
    liked = [[1.0 / (1 + rng.randrange(experts)) for _ in range(experts)] for _ in range(layers)]
    now, out = [None] * layers, []
    for _ in range(tokens):
        for l in range(layers):
            keep = [e for e in now[l] or [] if rng.random() < 0.6]
            while len(keep) < k:
                e = rng.choices(range(experts), liked[l])[0]
                keep += [e] if e not in keep else []
            rng.shuffle(keep)
            now[l] = keep
        out.append([list(ids) for ids in now])
    return out


def falling(rng, k=K):
    w = sorted((rng.random() for _ in range(k)), reverse=True)
    return [round(x / sum(w), 4) for x in w]


def request(rng, number, prompt, decode, first=0, ids=None, **shape):
    ids = ids or routing(rng, prompt + decode, **shape)
    return [Row(number, first + t, 'P' if t < prompt else 'D', l, row, falling(rng, len(row))) for t, token in enumerate(ids) for l, row in enumerate(token)]


def healthy(rng):
    return [row for r in range(3) for row in request(rng, r, 20, 60)]


def write(rows, path, weights=True, k=K):
    with open(path, 'w') as f:
        f.write('request_id,token_index,phase,layer,' + ','.join('e%d' % i for i in range(k)) + (',' + ','.join('w%d' % i for i in range(k)) if weights else '') + '\n')
        for r in rows:
            cells = [str(i) for i in r.ids] + [''] * (k - len(r.ids)) + (([str(w) for w in r.weights] + [''] * (k - len(r.ids))) if weights else [])
            f.write('%d,%d,%s,%d,%s\n' % (r.request, r.token, r.phase, r.layer, ','.join(cells)))


def check_file(path, *args):
    done = subprocess.run([TOOL, 'trace', 'check', path, '--json', *args], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError('%s: %s' % (path, done.stderr))
    return json.loads(done.stdout)


# ---- faults: each gives rows (or None: changed in place), arguments, and what is to be found: (kind, figure, first place) ----

def short(rng, rows, f):
    rows[:] = [r for r in rows if r.request == 0 and r.token < 31]
    return [('short', 11, None)]


def only_prompts(rng, rows, f):
    for r in rows:
        r.phase = 'P'
    return [('phases', 240, None)]


def no_prompts(rng, rows, f):
    rows[:] = [r for r in rows if r.phase == 'D']
    for r in rows:
        r.token -= 20
    return [('phases', 0, None)]


def last_layer(rng, rows, f):
    rows[:] = [r for r in rows if not (r.phase == 'P' and r.layer == LAYERS - 1 and r.token < 19)]
    return [('last_layer', 57, {'request': 0, 'position': 0, 'layer': LAYERS - 1})]


def missing(rng, rows, f):
    rows[:] = [r for r in rows if (r.request, r.token, r.layer) not in ((1, 33, 2), (2, 44, 0))]
    return [('missing', 2, {'request': 1, 'position': 33, 'layer': 2})]


def gaps(rng, rows, f):
    rows[:] = [r for r in rows if (r.request, r.token) not in ((1, 40), (2, 50), (2, 51))]
    return [('gaps', 2, {'request': 1, 'position': 41})]


def begins(rng, rows, f):
    for r in rows:
        r.token += 7 if r.request == 2 else 0
    return [('begins', 1, {'request': 2, 'position': 7})]


def duplicates(rng, rows, f):
    rows += [Row(7, r.token, r.phase, r.layer, r.ids, r.weights) for r in rows if r.request == 1]
    return [('duplicates', 1, {'request': 7, 'position': 0})]


def prefixes(rng, rows, f):
    """Two requests begin with the 12 first tokens of another: a system prompt."""
    ids = {(r.token, r.layer): r.ids for r in rows if r.request == 0}
    for r in rows:
        if r.request > 0 and r.token < 12:
            r.ids = ids[r.token, r.layer]
    return [('prefixes', 24, {'request': 1, 'position': 0})]


def replayed(rng, rows, f):
    """No KV cache: every token computes all before it again, as a request of its own."""
    ids = routing(rng, 40)
    rows[:] = [row for n in range(20, 41) for row in request(rng, n - 20, n, 0, ids=ids[:n])]
    for r in rows:
        r.phase = 'P' if r.token < 19 + r.request else 'D'
    return [('replayed', sum(range(20, 40)), {'request': 1, 'position': 0}), ('short', 21, None)]


def replayed_within(rng, rows, f):
    """The same in one request, its passes counted on: 64 more than the first pass has."""
    ids, out, at = routing(rng, 100), [], 0
    for n in range(20, 101, 8):
        out += [Row(0, at + r.token, 'D', r.layer, r.ids, r.weights) for r in request(rng, 0, 0, n, ids=ids[:n])]
        at += n
    rows[:] = out
    return [('replayed', sum(range(20, 100, 8)), {'request': 0, 'position': 20}), ('phases', 0, None)]


def idle(rng, rows, f):
    one = {r.layer: r.ids for r in rows if (r.request, r.token) == (2, 30)}
    for r in rows:
        if r.request == 2 and 31 <= r.token < 50:
            r.ids = one[r.layer]
    return [('idle', 19, {'request': 2, 'position': 31})]


def uniform(rng, rows, f):
    for r in rows:
        r.ids = rng.sample(range(EXPERTS), K)
    return [('uniform', None, None)]


def forgets(rng, rows, f):
    """Some experts are liked more, but nothing stays: what is shared with the token before is what chance gives. Here popularity is by layer
    and token in turns, so that neighbours share no more than strangers."""
    for r in rows:
        half = range(EXPERTS // 2) if rng.random() < 0.5 else range(EXPERTS)
        r.ids = rng.sample(half, K) if r.token % 4 == 0 else rng.sample(range(EXPERTS), K)
    return [('uniform', None, None)]


def even(rng, rows, f):
    """Memory without a favourite: a window that goes round."""
    for r in rows:
        r.ids = [(r.request * 80 + r.token + 2 * r.layer + i) % EXPERTS for i in range(K)][::-1]
        rng.shuffle(r.ids)
    return [('uniform', None, None)]


def layers(rng, rows, f):
    for r in rows:
        r.layer = (3, 4, 6, 7)[r.layer]
    return [('layers', 4, {'layer': 5})]


def one_layer(rng, rows, f):
    rows[:] = [r for r in rows if r.layer == 2]
    return [('layers', 1, None)]


def every_other(rng, rows, f):
    for r in rows:
        r.layer = 1 + 2 * r.layer
    return []


def narrow(rng, rows, f):
    for r in rows:
        if (r.request, r.token) in ((0, 25), (1, 30)) and r.layer == 1:
            del r.ids[3], r.weights[3]
    return [('top_k', 2, {'request': 0, 'position': 25, 'layer': 1})]


def order(rng, rows, f):
    for r in rows:
        if r.request == 1 and r.token >= 70 and r.layer == 3:
            r.weights[0], r.weights[1] = round(r.weights[1] - 0.0001, 4), round(r.weights[0] + 0.0001, 4)
    return [('order', 10, {'request': 1, 'position': 70, 'layer': 3})]


def below_zero(rng, rows, f):
    for r in rows:
        if r.request == 2 and r.layer == 1 and 12 <= r.token < 15:
            r.weights[3] = -r.weights[3]
    return [('weights', 3, {'request': 2, 'position': 12, 'layer': 1})]


def no_number(rng, rows, f):
    """Of one row all weights are missing, of another one of them is no number."""
    for r in rows:
        if (r.request, r.token, r.layer) == (1, 9, 3):
            r.weights = [''] * K
        if (r.request, r.token, r.layer) == (1, 9, 2):
            r.weights[1] = 'nan'
    return [('weights', 2, {'request': 1, 'position': 9, 'layer': 2})]


def sums(rng, rows, f):
    """Rows of another normalisation, and some that are within rounding."""
    for r in rows:
        if r.request == 0 and r.token == 40:
            r.weights = [w * 2.5 for w in r.weights]
        elif r.token == 41:
            r.weights = [w * 1.01 for w in r.weights]
    return [('weights', LAYERS, {'request': 0, 'position': 40, 'layer': 0})]


def scaled(rng, rows, f):
    """Softmax over all experts, or a scaling factor: every row has another sum, and that is no fault."""
    for r in rows:
        share = rng.uniform(0.3, 0.9)
        r.weights = [w * share for w in r.weights]
    return []


def trimmed_sums(rng, rows, f):
    """A row that was trimmed has less than 1, and only its width is told."""
    for r in rows:
        if (r.request, r.token, r.layer) == (1, 50, 1):
            del r.ids[3], r.weights[3]
            r.weights = [0.5, 0.2, 0.1]
    return [('top_k', 1, {'request': 1, 'position': 50, 'layer': 1})]


def by_number(rng, rows, f):
    for r in rows:
        r.ids = sorted(r.ids)
    f['weights'] = False
    return [('order', 3 * 80 * LAYERS, None)]


FAULTS = [short, only_prompts, no_prompts, last_layer, missing, gaps, begins, duplicates, prefixes, replayed, replayed_within, idle, uniform, forgets, even, layers, one_layer,
          every_other, narrow, order, below_zero, no_number, sums, scaled, trimmed_sums, by_number]


def planted(check, folder):
    path = os.path.join(folder, 't.csv')
    for seed in range(4):
        rng = random.Random(seed)
        write(healthy(rng), path)
        check.equal('healthy, seed %d' % seed, check_file(path)['findings'], [])
        for fault in FAULTS:
            rng = random.Random(seed)
            rows, how = healthy(rng), {}
            want = fault(rng, rows, how)
            write(rows, path, **how)
            found = check_file(path)['findings']
            got = [(f['kind'], f['figure'], f['first']) for f in found]
            want = [(kind, next((f['figure'] for f in found if f['kind'] == kind), 'nothing') if figure is None else figure, first) for kind, figure, first in want]
            check.equal('%s, seed %d' % (fault.__name__, seed), sorted(got, key=str), sorted(want, key=str))
            check.equal('%s: sentences' % fault.__name__, [f for f in found if len(f['found']) < 8 or f['distorts'][-1] != '.'], [])
    text = subprocess.run([TOOL, 'trace', 'check', path], capture_output=True, text=True).stdout
    check.equal('as text', ('ids stand in order of number in all 960 rows' in text, ', all in order' in text), (True, True))
    write(healthy(random.Random(1)), path)
    check.equal('healthy as text', '  healthy     nothing that would distort a result\n' in subprocess.run([TOOL, 'trace', 'check', path], capture_output=True, text=True).stdout, True)


# ---- a growing prefix in the file format of the K3 engine, of real routing ----

def pairs_file(tokens, lengths, path):
    """[token][layer] -> (layer, ids): int32 pairs without a header, layer by layer, every pass from the first token on."""
    with open(path, 'wb') as f:
        for n in lengths:
            for l in range(len(tokens[0])):
                for token in tokens[:n]:
                    layer, ids = token[l]
                    f.write(b''.join(struct.pack('<ii', layer, e) for e in ids))


def passes_of(path, k):
    """The passes of such a file, [pass][token] -> all ids: a pass ends where the layer falls."""
    with open(path, 'rb') as f:
        pairs = list(struct.iter_unpack('<ii', f.read()))
    layers, passes = [], []
    for layer, e in pairs:
        if layers and layer < layers[-1][0]:
            passes.append(layers)
            layers = []
        if not layers or layer != layers[-1][0]:
            layers.append((layer, []))
        layers[-1][1].append(e)
    passes.append(layers)
    return [[tuple(tuple(ids[t * k:t * k + k]) for _, ids in one) for t in range(len(one[0][1]) // k)] for one in passes]


def replayed_tokens(passes):
    """Tokens of passes that begin with all of the one before, and the place in the file of the first of these passes."""
    count, at, first = 0, 0, None
    for before, now in zip(passes, passes[1:]):
        at += len(before)
        if len(now) > len(before) and now[:len(before)] == before:
            count, first = count + len(before), at if first is None else first
    return count, first


def k3(check, folder):
    """Its published trace has 100,096 ids, which is 68 tokens of 92 layers with 16 each: passes of 5, 6 .. 12 tokens."""
    path, sample = os.path.join(folder, 'pairs'), os.path.join(tool.TRACES, 'formats', 'k3_pairs.bin')
    source = tool.trace('gpt-oss-20b-decode')
    if not os.path.exists(source):
        print('SKIP: there is no real trace', source)
        return
    rows = {}
    with gzip.open(source, 'rt') as f:
        for row in itertools.takewhile(lambda row: row['request_id'] == '0', csv.DictReader(f)):
            rows.setdefault(int(row['token_index']), []).append((int(row['layer']), [int(row['e%d' % i]) for i in range(4)]))
    tokens = [rows[t] for t in sorted(rows)]
    for name, lengths in (('K3', range(5, 13)), ('long', range(16, 40)), ('every fourth token', range(20, 60, 4)), ('fell back once', list(range(5, 13)) + list(range(5, 16)))):
        pairs_file(tokens, lengths, path)
        count, first = replayed_tokens(passes_of(path, 4))
        found = [f for f in check_file(path, '--as', 'k3_pairs', '--top-k', '4')['findings'] if f['kind'] in ('replayed', 'prefixes', 'duplicates')]
        check.equal('real routing replayed, %s' % name, [(f['kind'], f['figure'], f['first']['position']) for f in found],
                    [('replayed', count, first)])
    pairs_file(tokens, [12], path)
    check.equal('a prompt once', [f['kind'] for f in check_file(path, '--as', 'k3_pairs', '--top-k', '4')['findings']], ['short', 'phases'])
    check.equal('the sample, counted', replayed_tokens(passes_of(sample, 6)), (0, None))
    check.equal('the sample', [f['kind'] for f in check_file(sample, '--top-k', '6')['findings'] if f['kind'] in ('replayed', 'prefixes', 'duplicates', 'idle')], [])


# ---- the model ----

def model(check, folder):
    """Named by the trace, or by --model."""
    path, shape = os.path.join(folder, 't.csv'), os.path.join(ROOT, 'models', 'shapes', 'mixtral-8x7b.json')
    rng = random.Random(3)
    rows = [row for r in range(3) for row in request(rng, r, 20, 60, layers=4, experts=8, k=3)]
    write(rows, path, k=3)
    found = check_file(path, '--model', shape)
    check.equal('its model', found['model'], 'Mixtral-8x7B')
    check.equal('beside its model', [(f['kind'], f['figure'], f['found']) for f in found['findings']],
                [('layers', 4, '4 MoE layers, Mixtral-8x7B has 32'), ('top_k', 3, 'top-3, Mixtral-8x7B uses 2')])
    done = subprocess.run([TOOL, 'trace', 'check', path, '--model', 'none.json'], capture_output=True, text=True)
    check.equal('a model that is not there: ' + done.stderr, (done.returncode, 'none.json: cannot open' in done.stderr), (2, True))
    rng = random.Random(3)
    rows = [row for r in range(3) for row in request(rng, r, 20, 60, layers=4, experts=8, k=2)]
    rows[5].ids, rows[40].ids = [8, 0], [3, 8]
    write(rows, path, k=2)
    found = check_file(path, '--model', shape)['findings']
    check.equal('more experts', [(f['kind'], f['figure'], f['first'], f['found']) for f in found[1:]],
                [('experts', 9, {'request': 0, 'position': 1, 'layer': 1}, '9 experts a layer, Mixtral-8x7B has 8: 2 rows list more than it has')])
    check.equal('as places of a load balancer', 'import --map' in found[1]['distorts'], True)
    mapped = os.path.join(folder, 'map.json')
    with open(mapped, 'w') as f:
        json.dump([list(range(8)) + [4]] * 4, f)
    check.equal('with their map', [f['kind'] for f in check_file(path, '--model', shape, '--map', mapped)['findings']], ['layers'])
    for row in rows:
        row.ids = [i % 7 for i in row.ids]
    rows = [r for r in rows if len(set(r.ids)) == 2]
    write(rows, path, k=2)
    check.equal('fewer experts', [(f['figure'], f['first'], f['found']) for f in check_file(path, '--model', shape)['findings'] if f['kind'] == 'experts'],
                [(7, None, '7 experts a layer, Mixtral-8x7B has 8')])


def real(check):
    """Traces of others (../shared/traces): what their README says of them, and nothing else."""
    for trace, args, want in [
        ('bigmoeonedge-qwen3-30b-k6/route.csv.gz', [], [('last_layer', 27, {'request': 0, 'position': 0, 'layer': 47}), ('top_k', 6, None)]),
        ('bigmoeonedge-gpt-oss-120b-k2/trace.csv.gz', ['--model', os.path.join(ROOT, 'models', 'shapes', 'gpt-oss-120b.json')],
         [('last_layer', 84, {'request': 0, 'position': 0, 'layer': 35}), ('top_k', 2, None)]),
        ('gpt-oss-20b-decode/trace.csv.gz', ['--model', os.path.join(ROOT, 'models', 'shapes', 'gpt-oss-20b.json')],
         [('phases', 0, None), ('begins', 64, {'request': 0, 'position': 191})]),
        ('deepseek-moe-16b-prefill/trace.csv.gz', ['--model', os.path.join(ROOT, 'models', 'shapes', 'deepseekmoe-16b.json')], [('phases', 87, None)]),
        ('switch-base-8-encoder/trace.csv.gz', [], [('phases', 215, None)]),
        ('oversize-case/trace.csv.gz', [], [('short', 1, None), ('layers', 1, None)]),
    ]:
        path = os.path.join(tool.TRACES, trace)
        if not os.path.exists(path):
            print('SKIP: there is no real trace', path)
            continue
        found = check_file(path, *args)['findings']
        check.equal(trace, [(f['kind'], f['figure'], f['first']) for f in found], want)


def main():
    check = tool.Check('health')
    os.chdir(ROOT)                  # where models/shapes is
    with tempfile.TemporaryDirectory() as folder:
        planted(check, folder)
        k3(check, folder)
        model(check, folder)
        real(check)
        drawn = os.path.join(folder, 'drawn.h5')
        tool.command([tool.TOOL, 'trace', 'generate', '-o', drawn, '--set', 'prompt_tokens=64', '--set', 'decode_tokens=256'])
        check.equal('a generated trace says so', [f['kind'] for f in check_file(drawn)['findings']], ['synthetic'])
    check.close()


if __name__ == '__main__':
    main()
