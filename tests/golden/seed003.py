"""Seed 003, the Metal memory pool: the arithmetic of its claims, and its two pools served anew in plain Python.

The pools here are lists that are searched from the front; the traces are the generator's, as it writes them. Everything a result says of
requests, use, fragmentation and counters must come out the same to the last bit, and so must the time, which is a sum.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import tool

SEEDS = os.path.join(ROOT, 'configs', 'seeds')
CONFIG, CODED = os.path.join(SEEDS, '003-metal-pool.json'), os.path.join(SEEDS, '003-as-coded.json')
MIB = 1 << 20
POOL, DEVICE, HOST = 15, 350, 75        # us: the middles of the published ranges
FIXED = {'pool': '%dus' % POOL, 'pool_most': 0, 'device': '%dus' % DEVICE, 'device_most': 0, 'host': '%dus' % HOST, 'host_most': 0, 'name': 'alloc'}

ARITHMETIC = {                          # section by section, worked out by hand
    'throughput': .9896711635750421, 'heaps_acquired': 0, 'ratio': 1.1205273069679850, 'saved_speed': 96.70950903988036, 'reduction': .8666666666666667,
    'token_ms': 11.770244821092279, 'share_none': .14018691588785046, 'share_text': .12744265080713678, 'unit_least': 3.75, 'unit_most': 15, 'pool_unit': .2,
    'share_pool': .016992353440951572, 'gain': .12416427889207257, 'ttft': .06666666666666667, 'ttft_cold': 1.5, 'warm_formula': 120, 'heap_free': -416,
    'sizing': 3072, 'sizing_30b': 3072, 'leak': 34, 'parallel': 1,
}
VERDICTS = {
    'refuted upstream': {'throughput', 'heaps_acquired'},
    'reproduced': {'ratio', 'reduction', 'token_ms', 'share_none', 'pool_unit', 'share_pool', 'ttft', 'warm_formula', 'sizing', 'leak'},
    'baseline': {'utilization', 'fragmentation', 'six_hit_rate', 'six_utilization'},
}


def call(*args):
    done = subprocess.run([tool.TOOL] + [str(a) for a in args], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


# ---- a trace ----

def steps_of(path):
    """[(requests and releases before compute, ids that end behind it)] per step."""
    rows = [line.split(',') for line in open(path).read().split('\n')[1:] if line]
    steps = [([], []) for _ in range(int(rows[-1][0]) + 1)]
    for step, name, size, life in rows:
        if not name:
            continue
        before = steps[int(step)][0]
        if size == 'release':
            before.append(('release', name, 0))
            continue
        before.append(('ask', name, int(size)))
        if life:
            steps[min(int(step) + int(life), len(steps) - 1)][1].append(name)
    return steps


# ---- pools ----

class Pieces:
    """One heap chosen per request; in it the lowest hole that fits."""

    def __init__(self, heaps, size, choose, try_all):
        self.size, self.choose, self.try_all, self.turn = size, choose, try_all, 0
        self.holes = [[[0, size]] for _ in range(heaps)]
        self.held = {}

    def largest(self, heap):
        return max((size for _, size in self.holes[heap]), default=0)

    def free(self, heap):
        return sum(size for _, size in self.holes[heap])

    def chosen(self, size):
        heaps = range(len(self.holes))
        if self.choose == 'least_used':
            return max(heaps, key=lambda h: (self.free(h), -h))
        if self.choose == 'best_fit':
            return min((h for h in heaps if self.largest(h) >= size), key=lambda h: (self.largest(h), h), default=0)
        self.turn += 1
        return (self.turn - 1) % len(self.holes)

    def ask(self, name, size):
        size = -(-size // 256) * 256
        first = self.chosen(size)
        for i in range(len(self.holes) if self.try_all else 1):
            heap = (first + i) % len(self.holes)
            for hole in self.holes[heap]:
                if hole[1] < size:
                    continue
                self.held[name] = (heap, hole[0], size)
                hole[0] += size
                hole[1] -= size
                if hole[1] == 0:
                    self.holes[heap].remove(hole)
                return True
        return False

    def release(self, name):
        if name not in self.held:
            return
        heap, at, size = self.held.pop(name)
        merged = []
        for hole in sorted(self.holes[heap] + [[at, size]]):
            if merged and sum(merged[-1]) == hole[0]:
                merged[-1][1] += hole[1]
            else:
                merged.append(hole)
        self.holes[heap] = merged

    def look(self):
        heaps = range(len(self.holes))
        free, largest, all_ = sum(map(self.free, heaps)), sum(map(self.largest, heaps)), self.size * len(self.holes)
        return (all_ - free) / all_, 1 - largest / free if free else 0


class Whole:
    """A list of heaps; the one given back last is lent first."""

    def __init__(self, heaps):
        self.heaps, self.available, self.held = heaps, list(range(heaps)), {}
        self.acquired = self.released = self.exhaustion = 0

    def ask(self, name, size):
        self.acquired += 1
        self.exhaustion += not self.available
        self.held[name] = self.available.pop() if self.available else None
        return self.held[name] is not None

    def release(self, name):
        heap = self.held.pop(name)
        self.released += 1
        if heap is not None:
            self.available.append(heap)

    def look(self):
        return 1 - len(self.available) / self.heaps, 0


def serve(steps, pool):
    asked, placed, live, peak, looks, ns = 0, 0, 0, 0, [], 0
    for before, after in steps:
        for what, name, size in before:
            if what == 'ask':
                there = pool.ask(name, size)
                asked, placed, live = asked + 1, placed + there, live + 1
                peak = max(peak, live)
                ns += 1000 * (POOL if there else DEVICE)
            else:
                pool.release(name)
                live -= 1
        looks.append(pool.look())
        ns += 10120000
        for name in after:
            pool.release(name)
            live -= 1
    return {'requests': asked, 'placed': placed, 'fallback': asked - placed, 'live_peak': peak, 'leaked': live, 'looks': looks, 'ns': ns}


# ---- one against the other ----

STREAMS = [
    ['seed=0', 'requests=4', 'tokens=64'],
    ['seed=1', 'requests=12', 'together=6', 'tokens=16', 'tokens_most=48'],
    ['seed=2', 'requests=2', 'tokens=50', 'mix=[{"bytes":"1MiB","bytes_most":"256MiB","steps":0,"steps_most":9},{"bytes":"300B","until":"never"}]'],
]
POOLS = [
    ({'choose': 'round_robin'}, lambda: Pieces(4, 256 * MIB, 'round_robin', False)),
    ({'choose': 'best_fit', 'heaps': 2, 'heap_size': '160MiB'}, lambda: Pieces(2, 160 * MIB, 'best_fit', False)),
    ({'choose': 'least_used', 'heaps': 3, 'heap_size': '100MiB', 'try_all': True}, lambda: Pieces(3, 100 * MIB, 'least_used', True)),
    ({'mode': 'checkout'}, lambda: Whole(4)),
    ({'mode': 'checkout', 'heaps': 16}, lambda: Whole(16)),
]


def compare(check, folder):
    path = os.path.join(folder, 'stream.csv')
    for stream in STREAMS:
        call('trace', 'generate', 'buffers_synthetic', '-o', path, *sum((['--set', s] for s in stream), []))
        steps = steps_of(path)
        for options, make in POOLS:
            pool = make()
            want = serve(steps, pool)
            allocator = json.dumps(dict({'name': 'heaps'}, **options))
            result = json.loads(call('run', CONFIG, '--json', '--set', 'trace={"path": "%s"}' % path, '--set', 'tiers.memory.allocator=' + allocator,
                                     '--set', 'tiers.memory.allocation=' + json.dumps(FIXED)))
            got, name = result['buffers'], '%s over %s: ' % (stream[0], allocator)
            for key in ('requests', 'placed', 'fallback', 'live_peak', 'leaked'):
                check.equal(name + key, got[key], want[key])
            for i, key in enumerate(('utilization', 'fragmentation')):
                looks = [look[i] for look in want['looks']]
                check.equal(name + key, (got[key]['peak'], got[key]['last']), (max(looks), looks[-1]))
                check.equal(name + 'mean ' + key, abs(got[key]['mean'] - sum(looks) / len(looks)) < 1e-12, True)
            check.equal(name + 'time', round(result['time']['total_s'] * 1e9), want['ns'])
            if isinstance(pool, Whole):
                counters = got['allocator']['checkout']
                check.equal(name + 'counters', [counters[key] for key in ('acquired', 'released', 'exhaustion', 'fallback', 'available')],
                            [pool.acquired, pool.released, pool.exhaustion, pool.exhaustion, len(pool.available)])


def main():
    check = tool.Check('seed003')
    rows = {row['id']: row for row in json.loads(call('reproduce', '003', '--claims', os.path.join(SEEDS, 'claims.json'), '-n', '2', '--json', '--quiet'))['rows']}
    for name, value in ARITHMETIC.items():
        check.equal('%s is %g' % (name, value), abs(rows[name]['as_coded']['mean'] - value) <= 1e-12 * abs(value), True)
    for verdict, names in VERDICTS.items():
        check.equal(verdict, {name for name, row in rows.items() if row['verdict'] == verdict}, names)
    check.equal('warm-up: two sizes of three fit', (rows['warm_ms']['as_coded']['mean'], rows['warm_ms']['as_documented']['mean']), (80, 80))
    coded = json.loads(call('run', CODED, '--json'))
    check.equal('as coded is the mode', coded['buffers'], json.loads(call('run', CONFIG, '--json', '--set', 'tiers.memory.allocator.mode=checkout'))['buffers'])
    with tempfile.TemporaryDirectory() as folder:
        compare(check, folder)
    check.close()


if __name__ == '__main__':
    main()
