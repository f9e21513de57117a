"""The seeds' streams, predictors and orders as parts of this project give what the plain-Python references give.

Compositions that need nothing but these parts and no clock. The inference run of seed 002, with and without prediction, layers sharing
their experts or not. Its benchmark suite: every id uniform, so its twelve layers are one. And LRU on the requests of seed 001. Means
over a few seeds are held against the reference's, four standard errors apart at most, and those of seed 002 against the bands of
acceptance too.
"""
import math
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'support')]
import seed001
import seed002
import tool

SEEDS = 8
MACHINE = {'clock': 'none', 'bounds': False, 'channels': {'gpu': {'timing': 'constant'}}}


def cache(slots):
    return {'cache': {'capacity': '%dslots' % slots, 'compute': 'gpu'}, 'host': {'home': True}}


def inference(seed, slots, key='expert', predicts=True):
    config = dict(MACHINE, **{
        'trace': {'source': {'name': 'synthetic', 'sampler': 'repeat', 'layers': seed002.LAYERS, 'experts': seed002.EXPERTS, 'top_k': 1,
                             'decode_tokens': 500, 'cross_layer': seed002.SAME_LAYER_BEFORE, 'reuse': seed002.SAME_TOKEN_BEFORE, 'skew': [0],
                             'seed': seed}},
        'tiers': cache(slots), 'policy': 'prefetched_first', 'catalog': {'key': key}, 'seed': seed,
    })
    if predicts:
        config['predictor'] = {'name': 'noisy_oracle', 'point': 'before_lookup', 'accuracy': seed002.TOP_1, 'extra': seed002.K - 1, 'blind': True, 'sorted': True,
                               'normalise': True, 'context': seed002.CONTEXT, 'confidence_right': .75, 'confidence_spread': .15,
                               'confidence_wrong': .4, 'confidence_spread_wrong': .3}
    return config


def suite(seed, k, slots):
    """Means of confidence and spreads: U(.6, .9) for the true one and for a head that is right by chance, U(.1, .9) for the others."""
    return dict(MACHINE, **{
        'trace': {'source': {'name': 'synthetic', 'sampler': 'uniform', 'layers': 1, 'experts': seed002.EXPERTS, 'top_k': 1,
                             'decode_tokens': 200 * seed002.LAYERS, 'seed': seed}},
        'tiers': cache(slots), 'policy': 'prefetched_first', 'seed': seed,
        'predictor': {'name': 'noisy_oracle', 'point': 'before_lookup', 'accuracy': seed002.SUITE_TOP_1, 'extra': k - 1, 'blind': True, 'lucky': True, 'sorted': True,
                      'confidence_right': .75, 'confidence_spread': .15, 'confidence_wrong': .5, 'confidence_spread_wrong': .4},
    })


def requests(seed, slots):
    return dict(MACHINE, **{
        'trace': {'source': {'name': 'synthetic', 'sampler': 'strata', 'layers': 1, 'experts': seed001.EXPERTS, 'top_k': seed001.TOP_K,
                             'decode_tokens': seed001.REQUESTS, 'seed': seed}},
        'tiers': cache(slots), 'policy': 'lru', 'observers': ['summary', 'coverage'],
    })


def agree(check, name, ours, theirs):
    """Means that differ by no more than four standard errors of both."""
    bound = 4 * math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / SEEDS)
    apart = abs(statistics.fmean(ours) - statistics.fmean(theirs))
    check.equal('%s: %.4f against %.4f' % (name, statistics.fmean(ours), statistics.fmean(theirs)), apart <= bound, True)


def within(check, name, values, middle, half):
    mean = statistics.fmean(values)
    check.equal('%s: %.4f is within %g of %g' % (name, mean, half, middle), abs(mean - middle) <= half, True)


def check_inference(check):
    slots = int(seed002.LIMIT_MB // seed002.SIZE_MB)
    for key, predicts, middle, half in [('expert', True, .935, .01), ('expert', False, None, None), ('layer_expert', True, .226, .02), ('layer_expert', False, .221, .02)]:
        runs = [tool.run(inference(seed, slots, key, predicts))['cache'] for seed in range(SEEDS)]
        theirs = [seed002.inference(seed, per_layer=key != 'expert', prefetches=predicts) for seed in range(SEEDS)]
        name = 'inference, %s, %s' % (key, 'predicted' if predicts else 'not predicted')
        agree(check, name + ', hit rate', [run['hit_rate'] for run in runs], [row['hit'] for row in theirs])
        agree(check, name + ', hits on guesses', [run['hits_prefetched'] for run in runs], [row['prefetch_hits'] for row in theirs])
        agree(check, name + ', copies', [run['guess_copies'] for run in runs], [row['prefetches'] for row in theirs])
        if middle:
            within(check, name + ', hit rate', [run['hit_rate'] for run in runs], middle, half)
        if key == 'expert' and predicts:
            within(check, name + ', misses', [run['misses'] for run in runs], 390, 60)
            within(check, name + ', copies', [run['guess_copies'] for run in runs], 5400, 250)


def check_suite(check):
    for k, limit, size, middle, half in seed002.SUITE:
        runs = [tool.run(suite(seed, k, int(limit // size)))['cache'] for seed in range(SEEDS)]
        theirs = [seed002.suite(seed, k, limit, size) for seed in range(SEEDS)]
        name = 'k%d, %g MB of %g' % (k, limit, size)
        agree(check, name + ', hit rate', [run['hit_rate'] for run in runs], [row['hit'] for row in theirs])
        agree(check, name + ', hits on guesses', [run['hits_prefetched'] for run in runs], [row['prefetch_hits'] for row in theirs])
        within(check, name + ', percent', [100 * run['hit_rate'] for run in runs], middle, half)
        agree(check, name + ', copies', [run['guess_copies'] for run in runs], [row['prefetches'] for row in theirs])


def check_lru(check):
    for slots in (24, 40, 48, 56, 60):
        runs = [tool.run(requests(seed, slots)) for seed in range(SEEDS)]
        theirs = [seed001.lru(seed, slots) for seed in range(SEEDS)]
        agree(check, 'lru of %d slots, hit rate' % slots, [run['cache']['hit_rate'] for run in runs], [row['hit'] for row in theirs])
        agree(check, 'lru of %d slots, perfect' % slots, [perfect(run) for run in runs], [row['perfect'] for row in theirs])


def perfect(run):
    return run['coverage']['perfect'] / run['coverage']['events']


def main():
    check = tool.Check('seeds_as_parts')
    check_inference(check)
    check_suite(check)
    check_lru(check)
    check.close()


if __name__ == '__main__':
    main()
