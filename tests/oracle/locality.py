"""Reuse distances, overlap of layers, SRP and SCH (Liang et al., arXiv 2505.16056), computed once more in plain Python.

Written from the definitions: every distance by a list of what was used, every window by itself, every threshold and every set by counting
and sorting. The C figures come from the program `locality` (LOCALITY in the environment); counts must be equal, ratios to 12 digits.
Traces: the first tokens of recorded ones, and random ones with prompts, short rows and several requests.
"""
import collections
import csv
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

LENGTHS = (1, 2, 5, 16, 40)


def recorded(folder, tokens):
    """Rows of the neutral CSV as (request, token, phase, layer, ids), of so many decode tokens."""
    with gzip.open(tool.trace(folder), 'rt', newline='') as file:
        head, *rows = csv.reader(file)
    ids = [i for i, name in enumerate(head) if name.startswith('e')]
    out, seen = [], set()
    for row in rows:
        seen.add((row[0], row[1]))
        if len(seen) > tokens:
            break
        out.append((int(row[0]), int(row[1]), row[2], int(row[3]), [int(row[i]) for i in ids if row[i] != '']))
    return out


def drawn(seed):
    """Layers 0, 1 and 3 of a model; requests with a prompt of some tokens; rows of one to three experts; now and then a row is missing."""
    dice, out = random.Random(seed), []
    for request in range(3):
        prompt = dice.randrange(4)
        for token in range(prompt + dice.randrange(30, 60)):
            for layer in (0, 1, 3):
                if dice.random() < 0.97:
                    out.append((request, token, 'P' if token < prompt else 'D', layer, dice.sample(range(dice.choice((4, 9))), dice.randrange(1, 4))))
    return out


def write(path, rows):
    width = max(len(row[4]) for row in rows)
    with open(path, 'w') as file:
        file.write('request_id,token_index,phase,layer,' + ','.join('e%d' % i for i in range(width)) + '\n')
        for request, token, phase, layer, ids in rows:
            file.write('%d,%d,%s,%d,%s\n' % (request, token, phase, layer, ','.join(map(str, ids + [''] * (width - len(ids))))))


# --- the trace as steps: prompt tokens of a request are one, in the order of layers; repeats in a layer are left out ------------------------

Step = collections.namedtuple('Step', 'request decode used')        # used: layer index -> experts in order of first use


def steps_of(rows, layers):
    steps = []
    for request, token, phase, layer, ids in rows:
        key = (request, phase, token if phase == 'D' else 0)
        if not steps or steps[-1][0] != key:
            steps.append((key, Step(request, phase == 'D', collections.defaultdict(list))))
        used = steps[-1][1].used[layers.index(layer)]
        used.extend(i for i in ids if i not in used)
    return [step for _, step in steps]


def reuse(steps, layer=None):
    """Lookups of decode steps by bucket of their distance; the latest use stands last in `order`."""
    order, first, count = [], 0, collections.Counter()
    for step in steps:
        for at in sorted(step.used):
            for expert in step.used[at] if layer in (None, at) else ():
                if (at, expert) in order:
                    distance = len(order) - order.index((at, expert))
                    order.remove((at, expert))
                    count[(distance - 1).bit_length()] += step.decode
                else:
                    first += step.decode
                order.append((at, expert))
    return first, count


def windows(steps, length):
    """Uses of (layer, expert) in every window of decode steps of one request."""
    for at in range(len(steps) - length + 1):
        window = steps[at:at + length]
        if all(step.decode and step.request == window[0].request for step in window):
            yield collections.Counter((layer, expert) for step in window for layer, used in step.used.items() for expert in used)


def srp(counts, length):
    best, wanted = 0.0, sum(sum(c.values()) for c in counts)
    for threshold in range(1, length + 1):
        taken = [n for c in counts for n in c.values() if n >= threshold]
        if wanted:
            best = max(best, 2.0 * sum(taken) / (len(taken) * length + wanted))
    return best


def sch(counts, sizes):
    hits = [0] * sizes
    for c in counts:
        total = 0
        served = sorted(c.values(), reverse=True)
        for size in range(sizes):
            total += served[size] if size < len(served) else 0
            hits[size] += total
    return hits


# --- comparing ----------------------------------------------------------------------------------------------------------------------------

def digits(x):
    return '%.12g' % x


def check_segments(check, name, steps, got, layers, experts):
    length = got['length']
    counts = list(windows(steps, length))
    check.equal(name + ' windows', got['windows'], len(counts))
    check.equal(name + ' srp', digits(got['srp']), digits(srp(counts, length)))
    check.equal(name + ' lookups', got['lookups'], sum(sum(c.values()) for c in counts))
    check.equal(name + ' sch', got['hits'], sch(counts, layers * experts))
    for layer in range(layers):
        own = [{key: n for key, n in c.items() if key[0] == layer} for c in counts]
        check.equal('%s layer %d srp' % (name, layer), digits(got['layer_srp'][layer]), digits(srp(own, length)))
        check.equal('%s layer %d lookups' % (name, layer), got['layer_lookups'][layer], sum(sum(c.values()) for c in own))
        check.equal('%s layer %d sch' % (name, layer), got['layer_hits'][layer * experts:(layer + 1) * experts], sch(own, experts))


def check_reuse(check, name, got, steps, layer=None):
    first, count = reuse(steps, layer)
    check.equal(name + ' first uses', got['first'], first)
    check.equal(name + ' reuse', got['count'], [count[b] for b in range(len(got['count']))])
    check.equal(name + ' buckets', max(count, default=0) < len(got['count']), True)


def check_overlap(check, name, got, steps, layers):
    same, of = [0] * layers, [0] * layers
    for step in steps:
        for layer in range(1, layers) if step.decode else ():
            of[layer] += len(step.used.get(layer, ()))
            same[layer] += len(set(step.used.get(layer, ())) & set(step.used.get(layer - 1, ())))
    check.equal(name + ' overlap', digits(got['overlap']), digits(sum(same) / sum(of)))
    check.equal(name + ' overlap of layers', [digits(x) for x in got['layer_overlap']], [digits(s / n if n else 0.0) for s, n in zip(same, of)])


def check_trace(check, name, rows, folder, lengths):
    path = os.path.join(folder, 'trace.csv')
    write(path, rows)
    numbers = sorted({row[3] for row in rows})
    steps, layers, experts = steps_of(rows, numbers), len(numbers), 1 + max(i for row in rows for i in row[4])
    done = subprocess.run([os.environ['LOCALITY'], path] + [str(n) for n in lengths], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    got = json.loads(done.stdout)
    check_reuse(check, name, got['reuse'][0], steps)
    for layer in range(layers):
        check_reuse(check, '%s layer %d' % (name, layer), got['layer_reuse'][layer], steps, layer)
    check_overlap(check, name, got, steps, layers)
    for segments in got['segments']:
        check_segments(check, '%s, %d steps' % (name, segments['length']), steps, segments, layers, experts)


def main():
    check = tool.Check('locality')
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(6):
            check_trace(check, 'drawn %d' % seed, drawn(seed), folder, LENGTHS)
        if os.path.isdir(tool.TRACES):
            check_trace(check, 'gpt-oss-20b-decode', recorded('gpt-oss-20b-decode', 120), folder, (4, 16))
            check_trace(check, 'bigmoeonedge-gpt-oss-120b-k2', recorded('bigmoeonedge-gpt-oss-120b-k2', 149), folder, (16,))
    check.close()


if __name__ == '__main__':
    main()
