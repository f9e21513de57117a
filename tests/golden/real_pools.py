"""Seed 000 on recorded routing: pools by bit width beside one pool of as many bytes, and what grace is worth.

Without arguments: asserts which is ahead, and that the table of configs/seeds/README.md is what --table prints.

A quarter of the experts of each layer has 2 bits, half 4, a quarter 8; the capacity is a quarter of the bytes of all. Where bits go by
chance, three draws are averaged.
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'support')]
import real_coverage
import tool

README = os.path.join(HERE, '..', '..', 'configs', 'seeds', 'README.md')
DRAWS = 3
MEAN_BITS = .25 * 2 + .5 * 4 + .25 * 8

ONE = ['tiers.cache.allocator=bytes']
POOLS = []
# the pools get of the bytes what their experts have of the bytes of all
BY_BYTES = ['tiers.cache.allocator=' + json.dumps({'name': 'pools', 'distribution': {'2': 1 / 9, '4': 4 / 9, '8': 4 / 9}})]
LRU = ['policy=lru']
RECENCY, TRANSITION = ['predictor=topk_recency', 'compute.lookahead=3'], ['predictor=transition']


def grace(time, yields=True):
    return ['tiers.cache.grace=' + time, 'tiers.cache.grace_yields=' + ('true' if yields else 'false')]


# what stands in a row: name, who has how many bits, settings
ROWS = [
    ('one pool, LRU', 'random', ONE + LRU),
    ('one pool, multi-factor', 'random', ONE),
    ('one pool, Belady', 'random', ONE + ['policy=belady']),
    ('pools, LRU', 'random', POOLS + LRU),
    ('pools, multi-factor', 'random', POOLS),
    ('pools, multi-factor, never defragmented', 'random', ['tiers.cache.allocator.defrag=off']),
    ('pools, Belady', 'random', POOLS + ['policy=belady']),
    ('pools as large as their experts, LRU', 'random', BY_BYTES + LRU),
    ('pools as large as their experts, multi-factor', 'random', BY_BYTES),
    ('the most used are the widest: one pool, LRU', 'popularity', ONE + LRU),
    ('the most used are the widest: pools, LRU', 'popularity', POOLS + LRU),
    ('the most used are the widest: pools as large as their experts, LRU', 'popularity', BY_BYTES + LRU),
    ('the most used are the narrowest: one pool, LRU', 'rarity', ONE + LRU),
    ('the most used are the narrowest: pools, LRU', 'rarity', POOLS + LRU),
    ('the most used are the narrowest: pools as large as their experts, LRU', 'rarity', BY_BYTES + LRU),
    ('one pool, multi-factor, 20 ms of grace', 'random', ONE + grace('20ms')),
    ('one pool, multi-factor, 200 ms of grace', 'random', ONE + grace('200ms')),
    ('one pool, multi-factor, 2 s of grace', 'random', ONE + grace('2s')),
    ('pools, multi-factor, 2 s of grace', 'random', POOLS + grace('2s')),
    ('one pool, LRU, 2 s of grace', 'random', ONE + LRU + grace('2s')),
    ('one pool, LRU, guesses by recency', 'random', ONE + LRU + RECENCY),
    ('one pool, LRU, guesses by recency, 200 ms of grace', 'random', ONE + LRU + RECENCY + grace('200ms')),
    ('one pool, LRU, guesses by recency, 2 s of grace', 'random', ONE + LRU + RECENCY + grace('2s')),
    ('one pool, LRU, guesses by transition', 'random', ONE + LRU + TRANSITION),
    ('one pool, LRU, guesses by transition, 2 s of grace', 'random', ONE + LRU + TRANSITION + grace('2s')),
    ('pools, multi-factor, guesses by recency', 'random', POOLS + RECENCY),
    ('pools, multi-factor, guesses by recency, 2 s of grace', 'random', POOLS + RECENCY + grace('2s')),
]


class Pooled(real_coverage.Model):
    def __init__(self, name, folder):
        super().__init__(name, folder)
        layers = json.loads(tool.command([tool.TOOL, 'trace', 'info', self.path, '--json']))['layers']
        # model.expert_bytes is that of 4 bits
        self.capacity = int(layers * self.experts * self.bytes * MEAN_BITS / 4 / 4)

    def row(self, assign, sets):
        sets = ['tiers.cache.capacity=%dB' % self.capacity, 'catalog.assign=' + assign] + sets
        return [self.run('real-pool', sets + ['seed=%d' % seed]) for seed in range(1, 1 + (DRAWS if assign == 'random' else 1))]


def measured():
    """(trace, row) -> share of layers with all experts there, mean latency, copies of guesses."""
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for trace in real_coverage.TRACES:
            model = Pooled(trace, folder)
            for name, assign, sets in ROWS:
                runs = model.row(assign, sets)
                out[trace, name] = (real_coverage.perfect(runs), real_coverage.latency(runs), sum(run['cache']['guess_copies'] for run in runs))
    return out


def table(cells):
    yield '|  | ' + ' | '.join(real_coverage.TRACES) + ' |'
    yield '|---' * (1 + len(real_coverage.TRACES)) + '|'
    for name, _, _ in ROWS:
        yield '| %s | ' % name + ' | '.join('%.1f %%, %.1f ms' % (cells[trace, name][0] * 100, cells[trace, name][1] * 1e3) for trace in real_coverage.TRACES) + ' |'


def check_cells(check, cells):
    for trace in real_coverage.TRACES:
        def ms(name):
            return cells[trace, name][1] * 1e3

        def ahead(one, other, by=1.0):
            check.equal('%s: %s (%.3f ms) is ahead of %s (%.3f ms) by %g' % (trace, one, ms(one), other, ms(other), by), ms(one) * by < ms(other), True)

        def level(one, other):
            check.equal('%s: %s (%.3f ms) and %s (%.3f ms) are within 2 %%' % (trace, one, ms(one), other, ms(other)), abs(ms(one) / ms(other) - 1) < .02, True)

        for policy in ('LRU', 'multi-factor', 'Belady'):
            ahead('one pool, ' + policy, 'pools, ' + policy)
        for policy in ('LRU', 'multi-factor'):
            level('one pool, ' + policy, 'pools as large as their experts, ' + policy)
        ahead('the most used are the widest: one pool, LRU', 'the most used are the widest: pools, LRU', 1.4)
        ahead('the most used are the narrowest: one pool, LRU', 'the most used are the narrowest: pools, LRU')
        check.equal(trace + ': grace alone changes nothing under LRU', cells[trace, 'one pool, LRU, 2 s of grace'], cells[trace, 'one pool, LRU'])
        few, many = (cells[trace, 'pools, multi-factor, guesses by recency' + more][2] for more in (', 2 s of grace', ''))
        check.equal('%s: two seconds of grace keep guesses out: %d against %d' % (trace, few, many), few * 100 <= many, True)


def main():
    tool.need_traces()
    cells = measured()
    if sys.argv[1:] == ['--table']:
        return print('\n'.join(table(cells)))
    check = tool.Check('real_pools')
    check_cells(check, cells)
    with open(README) as f:
        written = f.read().split('\n')
    check.equal('configs/seeds/README.md', [line for line in table(cells) if line not in written], [])
    check.close()


if __name__ == '__main__':
    main()
