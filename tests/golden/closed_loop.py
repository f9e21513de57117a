"""Closed-loop routing on DeepSeek-MoE-16B's full gate distributions: hits, what was replaced and the gate mass lost, against a replay
written out here; and without promotion the same as the routing that was recorded. With --table: prints the table of configs/seeds/README.md."""
import collections
import csv
import gzip
import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import tool

USED, EXPERTS = 6, 64
CONTRACT = {'unit': 'token', 'prefill': 'tokens', 'scope': 'layer', 'prefill_counts': 'together'}


def f32(x):
    return struct.unpack('f', struct.pack('f', x))[0]


def rankings(path):
    """(request, token, layer) and all experts by falling probability, in the order of the file."""
    with gzip.open(path, 'rt') as f:
        rows = csv.reader(f)
        next(rows)
        for row in rows:
            p = [f32(float(x)) for x in row[3:]]
            order = sorted(range(EXPERTS), key=lambda e: (-p[e], e))
            yield tuple(map(int, row[:3])), [(e, p[e]) for e in order]


def write(rows, width, path):
    with open(path, 'w') as f:
        f.write('request_id,token_index,phase,layer,' + ','.join('e%d' % i for i in range(width)) + ',' + ','.join('w%d' % i for i in range(width)) + '\n')
        for (request, token, layer), ranking in rows:
            f.write('%d,%d,P,%d,%s,%s\n' % (request, token, layer, ','.join(str(e) for e, _ in ranking[:width]), ','.join(repr(p) for _, p in ranking[:width])))


def max_rank(ranking, resident, keep, within):
    fixed = ranking[:keep]
    there = [r for r in ranking[keep:within] if r[0] in resident]
    rest = [r for r in ranking[keep:] if r not in there]
    chosen = (fixed + there + rest)[:USED]
    return [r for r in ranking if r in chosen]


def by_max_rank(keep, within):
    return lambda layer, ranking, resident: max_rank(ranking, resident, keep, within)


def by_bonus(bonus, limit, window):
    """The highest probabilities after a bonus for residents, which those do not have that the last `window` rows used too often."""
    lately = collections.defaultdict(lambda: collections.deque(maxlen=window))
    most = limit * window * USED / EXPERTS

    def choose(layer, ranking, resident):
        uses = collections.Counter(e for row in lately[layer] for e in row)
        score = {e: p + (bonus if e in resident and not (limit and uses[e] > most) else 0) for e, p in ranking}
        best = sorted(ranking, key=lambda r: -score[r[0]])[:USED]
        chosen = [r for r in ranking if r in best]
        lately[layer].append([e for e, _ in chosen])
        return chosen
    return choose


def replay(rows, slots, choose):
    """LRU for each layer; a row is judged on the state before it, and room is made among the others."""
    caches = collections.defaultdict(collections.OrderedDict)
    hits = replaced = 0
    lost = []
    for (_, _, layer), ranking in rows:
        cache = caches[layer]
        chosen = choose(layer, ranking, set(cache))
        hits += sum(e in cache for e, _ in chosen)
        model = ranking[:USED]
        replaced += sum(r not in model for r in chosen)
        lost.append(1 - sum(p for _, p in chosen) / sum(p for _, p in model))
        for e, _ in chosen:
            cache[e] = True
            cache.move_to_end(e)
        while len(cache) > slots:
            cache.popitem(last=False)
    return hits, replaced, sum(lost) / len(lost), max(lost)


def busiest(path, layers):
    """Uses of the most used expert of a layer over an even share, the mean of all layers, from the log of what was looked up."""
    uses = collections.Counter()
    with open(path) as log:
        for row in csv.DictReader(log):
            if row['kind'] in ('hit', 'miss', 'late', 'prefetch_hit'):
                uses[int(row['layer']), int(row['expert'])] += 1
    of = [[n for (at, _), n in uses.items() if at == layer] for layer in layers]
    return sum(max(n) * EXPERTS / sum(n) for n in of) / len(of)


def table():
    """A quarter of each layer's experts; what a bonus gains, and what it costs: line by line."""
    rows = list(rankings(tool.trace('deepseek-moe-16b-prefill', 'all-probs.csv.gz')))
    yield '| bonus | limit | hit rate | experts replaced | gate mass lost, mean | most used expert, times its even share |'
    yield '|---|---|---|---|---|---|'
    with tempfile.TemporaryDirectory() as folder:
        wide, log = os.path.join(folder, 'wide.csv'), os.path.join(folder, 'log.csv')
        write(rows, EXPERTS, wide)
        for bonus, limit in ((0, 0), (.01, 0), (.02, 0), (.05, 0), (.1, 0), (1, 0), (.05, 2), (.1, 2), (1, 2)):
            router = {'name': 'cache_aware', 'experts': USED, 'bonus': bonus, 'limit': limit, 'window': 64}
            result = tool.run(tool.untimed(wide, '%dslots' % (27 * 16), contract=CONTRACT, router=router,
                                           observers=['summary', {'name': 'events', 'path': log, 'accesses': True, 'limit': 10**9}]))
            routing, cache = result['routing'], result['cache']
            yield '| %g | %s | %.1f %% | %.1f %% | %.1f %% | %.1f |' % (
                bonus, limit or '-', 100 * cache['hits'] / cache['lookups'], 100 * routing['replaced'] / routing['experts'],
                100 * routing['gate_mass_lost']['mean'], busiest(log, sorted({key[2] for key, _ in rows})))


def main():
    tool.need_traces()
    if sys.argv[1:] == ['--table']:
        return print('\n'.join(table()))
    check = tool.Check('closed_loop')
    with open(os.path.join(HERE, '..', '..', 'configs', 'seeds', 'README.md')) as f:
        written = f.read().split('\n')
    check.equal('configs/seeds/README.md', [line for line in table() if line not in written], [])
    rows = list(rankings(tool.trace('deepseek-moe-16b-prefill', 'all-probs.csv.gz')))
    with tempfile.TemporaryDirectory() as folder:
        wide, narrow = os.path.join(folder, 'wide.csv'), os.path.join(folder, 'narrow.csv')
        write(rows, EXPERTS, wide)
        write(rows, USED, narrow)
        for slots in (8, 16, 32):
            capacity = '%dslots' % (27 * slots)
            open_loop = tool.run(tool.untimed(narrow, capacity, contract=CONTRACT))
            check.equal('open loop has no routing', 'routing' in open_loop, False)
            check.equal('and says so', open_loop['provenance']['closed_loop'], False)
            routers = [(dict(name='max_rank', experts=USED, keep=keep, within=within), by_max_rank(keep, within))
                       for keep, within in ((1, USED), (USED, EXPERTS), (0, EXPERTS), (2, 12), (1, 24))]
            routers += [(dict(name='cache_aware', experts=USED, bonus=bonus, limit=limit, window=window), by_bonus(bonus, limit, window))
                        for bonus, limit, window in ((0, 0, 1), (.02, 0, 1), (1, 0, 1), (.1, 1.5, 16), (.1, 3, 5))]
            for router, choose in routers:
                what = '%d slots, %s: ' % (slots, ', '.join('%s %s' % (k, v) for k, v in router.items() if k != 'experts'))
                result = tool.run(tool.untimed(wide, capacity, contract=CONTRACT, bounds=True, router=router))
                hits, replaced, mean, most = replay(rows, slots, choose)
                routing = result['routing']
                check.equal(what + 'hits', result['cache']['hits'], hits)
                check.equal(what + 'lookups', result['cache']['lookups'], len(rows) * USED)
                check.equal(what + 'replaced', routing['replaced'], replaced)
                check.equal(what + 'mean', round(routing['gate_mass_lost']['mean'], 9), round(mean, 9))
                check.equal(what + 'most', round(routing['gate_mass_lost']['max'], 9), round(most, 9))
                check.equal(what + 'label', (result['provenance']['closed_loop'], routing['loop'], routing['router']), (True, 'closed', router['name']))
                check.equal(what + 'bounds', (result['bounds']['belady_hits'], 'router' in result['bounds']['reason']['belady_hits']), (None, True))
                if replaced == 0:
                    check.equal(what + 'as recorded', result['cache'], open_loop['cache'])
                    check.equal(what + 'nothing lost', (routing['changed_rows'], mean), (0, 0))
                else:
                    check.equal(what + 'more hits', hits > open_loop['cache']['hits'], True)
    check.close()


if __name__ == '__main__':
    main()
