"""The arithmetic of `expertsim compare`, once more and another way: from units.csv, by definitions alone, with draws made here.

Block length (Politis and White 2004, Patton et al. 2009), studentised circular block bootstrap, Holm, MSER-5, sums and ranks.
"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import sweeps
import tool

MASK = (1 << 64) - 1
TIMES = 199


# ---- draws by counter, as sim/base/rng.h defines them ----

def mix(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ (x >> 30)) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ (x >> 27)) * 0x94d049bb133111eb) & MASK
    return x ^ (x >> 31)


def stream(seed, replication, path, purpose):
    h = mix(mix(seed) ^ replication)
    for text in (path, purpose):
        for byte in text.encode():
            h = mix(h ^ byte)
        h = mix(h)
    return h


def below(s, n, a, b):
    return ((mix(mix(mix(mix(s ^ a) ^ b))) >> 32) * n) >> 32


# ---- statistics ----

def covariance(d, lag):
    m = sum(d) / len(d)
    return sum((d[i] - m) * (d[i + lag] - m) for i in range(len(d) - lag)) / len(d)


def block_length(d):
    n = len(d)
    r = {0: covariance(d, 0)} if n >= 6 else {0: 0.0}
    if r[0] <= 0:
        return 1
    quiet = max(5, math.ceil(math.sqrt(math.log10(n))))
    most = min(math.ceil(math.sqrt(n)) + quiet, n - 1)
    r.update({k: covariance(d, k) for k in range(1, most + 1)})
    loud = [abs(r[k] / r[0]) >= 2 * math.sqrt(math.log10(n) / n) for k in range(most + 1)]
    m = None
    for k in range(0, most - quiet + 1):                # the first place behind which `quiet` lags are noise
        if not any(loud[k + 1:k + quiet + 1]):
            m = k
            break
    if m is None:
        m = max([k for k in range(1, most + 1) if loud[k]], default=1)
    window = min(2 * max(m, 1), most)

    def flat(k):
        t = abs(k) / window
        return 1.0 if t <= 0.5 else 2 * (1 - t)
    g = sum(flat(k) * abs(k) * r[abs(k)] for k in range(-window, window + 1))
    power = sum(flat(k) * r[abs(k)] for k in range(-window, window + 1))
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    if power == 0:
        return longest
    best = (2 * g * g / (4 / 3 * power * power)) ** (1 / 3) * n ** (1 / 3)
    return max(1, math.floor(best + 0.5)) if best < longest else longest


def interval(d, s, times):
    """mean, reach, p, block, blocks; reach None: there is no interval."""
    n, mean = len(d), sum(d) / len(d)
    if n < 10:
        return mean, None, 1.0, 1, n
    wanted = 2 * block_length(d)
    block = min(max(wanted, -(-n // 10000), math.ceil(n ** (1 / 3) - 1e-9)), n // 10)
    k = n // block
    means = [sum(d[(i + j) % n] for j in range(block)) / block - mean for i in range(n)]
    if wanted > max(2, n // 10):
        parts = [sum(d[j * block:(j + 1) * block]) / block for j in range(k)]
        if any((p > 0) != (mean > 0) or abs(p) < 0.5 * abs(mean) for p in parts):
            return mean, None, 1.0, block, k
    error = math.sqrt(sum(m * m for m in means) / n * block / n * k / (k - 1))
    t = []
    for resample in range(times):
        drawn = [means[below(s, n, resample, j)] for j in range(k)]
        m = sum(drawn) / k
        variance = sum((x - m) ** 2 for x in drawn) / (k - 1) / k
        t.append(abs(m) / math.sqrt(variance) if variance > 1e-28 * sum(x * x for x in drawn) else math.inf if m else 0.0)
    found = abs(mean) / error if error > 0 else math.inf if mean else 0.0
    t.sort()
    reach = t[min(math.ceil(0.95 * (times + 1)), times) - 1] * error if error > 0 else 0.0
    return mean, reach, (1 + sum(x >= found for x in t)) / (times + 1), block, k


def paired(d, s, times):
    """(mean, reach, p, block, blocks), the same of the signs or None: where the mean has no interval, the signs may say who is ahead."""
    of_mean = interval(d, s, times)
    if of_mean[1] is not None or len(d) < 10:
        return of_mean, None
    signs = [(x > 0) - (x < 0) for x in d]
    of_signs = interval(signs, s, times)
    lead = of_signs[0]
    tenths = [signs[len(d) * j // 10:len(d) * (j + 1) // 10] for j in range(10)]
    ahead = all(sum(part) / len(part) * lead >= 0.5 * lead * lead for part in tenths)
    return of_mean, of_signs if of_signs[1] is not None and lead * of_mean[0] > 0 and ahead else None


def holm(p):
    order, out, most = sorted(range(len(p)), key=lambda i: p[i]), [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        most = max(most, min(1.0, p[i] * (len(p) - place)))
        out[i] = most
    return out


def mser5(x):
    z = [sum(x[i:i + 5]) / 5 for i in range(0, len(x) - len(x) % 5, 5)]
    if len(z) < 10:
        return False, 0

    def error(kept):
        m = sum(kept) / len(kept)
        return sum((v - m) ** 2 for v in kept) / len(kept) ** 2
    best = min(range(len(z) - 4), key=lambda cut: (error(z[cut:]), cut))
    return 2 * best <= len(z), 5 * best


# ---- from the rows to the numbers ----

def units(rows, kind, cut):
    """[above, below] of each unit: rows of one run from `cut` on; requests must be whole."""
    out, last = [], None
    for i, (request, above, below_) in enumerate(rows):
        if i < cut:
            last = request
            continue
        if kind == 'token' or (kind == 'request' and (i == 0 or request != last)) or (kind == 'run' and not out):
            out.append([0.0, 0.0])
        if out:
            out[-1][0] += above
            out[-1][1] += below_
        last = request
    return out


def parts(u):
    value = sum(a for a, _ in u) / sum(b for _, b in u)
    mean = sum(b for _, b in u) / len(u)
    return value, [value + (a - value * b) / mean for a, b in u]


def close(check, what, got, want):
    if want is None or got is None:
        check.equal(what, got, want)
    else:
        check.equal('%s: %r is %r' % (what, got, want), abs(got - want) <= 1e-9 * max(1.0, abs(want)), True)


def judge(check, what, found, kind, higher, times, cells):
    """Checks all of a group but what depends on other groups; phase -> [(pair, whether it can be judged)]. cells: candidate -> [(settled, cut, rows) of each run]."""
    names = [c['name'] for c in found['candidates']]
    settled = {}
    for c in found['candidates']:
        for ok, cut, rows in cells[c['name']]:
            check.equal(what + ': MSER-5', (ok, cut if ok else None), (lambda own: (own[0], own[1] if own[0] else None))(mser5([a / b if b else 0.0 for _, a, b in rows])))
        settled[c['name']] = 2 * sum(ok for ok, _, _ in cells[c['name']]) > len(cells[c['name']])
        check.equal(what + ': settled', c['settled'], settled[c['name']])
    s, family = stream(1, 0, 'compare', 'blocks'), {'cold': [], 'warm': []}
    for phase in ('cold', 'warm'):
        series = {}
        for name in names:
            u = []
            for run in range(len(cells[name])):
                cut, use = 0, True
                if phase == 'warm':
                    use = all(cells[n][run][0] for n in names if settled[n])
                    cut = max([cells[n][run][1] for n in names if settled[n]], default=0)
                u += units(cells[name][run][2], kind, cut) if use else []
            series[name] = u
        for pair in found['pairs']:
            a, b = pair['a'], pair['b']
            if phase == 'warm' and not (settled[a] and settled[b] and series[a]):
                check.equal(what + ': no warm pair', pair['warm'], None)
                continue
            va, pa = parts(series[a])
            vb, pb = parts(series[b])
            close(check, what + ': value', found['candidates'][names.index(a)][phase], va)
            got = pair[phase]
            (mean, reach, p, block, blocks), signs = paired([x - y for x, y in zip(pa, pb)], s, times)
            close(check, what + ': difference', got['difference'], va - vb)
            close(check, what + ': mean of parts', got['difference'], mean)
            unbounded = reach is None or math.isinf(reach)
            close(check, what + ': low', got['low'], None if unbounded else mean - reach)
            close(check, what + ': high', got['high'], None if unbounded else mean + reach)
            if signs:
                lead, wide, p, block, blocks = signs
                lead = lead if higher else -lead
                close(check, what + ': won, low', got['won_low'], None if math.isinf(wide) else max(-1.0, lead - wide))
                close(check, what + ': won, high', got['won_high'], None if math.isinf(wide) else min(1.0, lead + wide))
            check.equal(what + ': by', got['by'], 'wins' if signs else None if reach is None else 'mean')
            close(check, what + ': p', got['p'], p)
            check.equal(what + ': blocks', (got['block'], got['blocks']), (block, blocks))
            more = [x * q - y * w for (x, w), (y, q) in zip(series[a], series[b])]
            score = (sum(h > 0 for h in more), sum(h == 0 for h in more), sum(h < 0 for h in more))
            check.equal(what + ': score', (got['wins'], got['ties'], got['losses']), score if higher else score[::-1])
            close(check, what + ': won', got['won'], (got['wins'] - got['losses']) / len(more))
            family[phase].append((pair, signs or reach is not None))
    return family


def judge_family(check, what, family, phase, higher):
    """All pairs of all groups; who is ahead of how many in the cold phase."""
    for (pair, judged), adjusted in zip(family, holm([pair[phase]['p'] for pair, _ in family])):
        got, ahead = pair[phase], None
        close(check, what + ': Holm', got['p_holm'], adjusted)
        if judged and adjusted <= 0.05 + 1e-12 and got['difference']:
            ahead = pair['a'] if (got['difference'] > 0) == higher else pair['b']
        check.equal(what + ': better', got['better'], ahead)


def read(path):
    """(group, candidate) -> [(settled, cut, rows) of each run]."""
    runs = {}
    with open(path, newline='') as file:
        for row in csv.DictReader(file):
            of = runs.setdefault((row['group'], row['candidate']), {}).setdefault(row['run'], [row['settled'] == '1', int(row['cut']), []])
            of[2].append((int(row['request']), float(row['above']), float(row['below'])))
    return {key: list(of.values()) for key, of in runs.items()}


def main():
    check = tool.Check('compare')
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        long = {'source': {'name': 'synthetic', 'layers': 3, 'experts': 12, 'top_k': 2, 'requests': 30, 'prompt_tokens': 3, 'decode_tokens': 9, 'seed': 5}}
        here.write('long.json', {**sweeps.BASE, 'trace': long, 'bounds': False})
        here.sweep({'policy': ['lru', 'lfu', 'random'], sweeps.CAPACITY: ['10slots', '20slots']}, name='runs.json',
                   replications={'count': 3, 'vary': ['trace.source.seed']})
        here.write('runs.json', {**json.load(open(here.at('runs.json'))), 'base': {**sweeps.BASE, 'observers': ['summary', 'latency', 'tables']}})
        sweeps.fine('run', here.at('runs.json'), '-o', here.at('sweep'), '-q')
        policies = ['--policies', 'lru,lfu,random,belady']
        for what, args in (('tokens', [here.at('base.json'), *policies]), ('hits', [here.at('base.json'), *policies, '--metric', 'hit_rate']),
                           ('rate', [here.at('long.json'), *policies, '--metric', 'tokens_per_s']), ('first token', [here.at('long.json'), *policies, '--metric', 'ttft']),
                           ('sweep', [here.at('sweep'), '--by', 'policy']), ('sweep by run', [here.at('sweep'), '--unit', 'run', '--metric', 'hit_rate'])):
            out = here.at('out ' + what)
            found = json.loads(tool.command([sweeps.TOOL, 'compare', *args, '--json', '--out', out, '--resamples', str(TIMES), '--confidence', '0.95']))
            cells = read(os.path.join(out, 'units.csv'))
            higher, families = found['better'] == 'higher', {'cold': [], 'warm': []}
            for group in found['groups']:
                mine = {c['name']: cells[group['where'] or '', c['name']] for c in group['candidates']}
                for phase, pairs in judge(check, what, group, found['unit'], higher, found['resamples'], mine).items():
                    families[phase] += pairs
                for c in group['candidates']:
                    check.equal(what + ': rank', c['rank'], 1 + sum(p['cold']['better'] not in (None, c['name']) and c['name'] in (p['a'], p['b']) for p in group['pairs']))
            check.equal(what + ': family', found['family'], len(families['cold']))
            for phase in families:
                judge_family(check, what, families[phase], phase, higher)
    check.close()


if __name__ == '__main__':
    main()
