"""Sweeps: what a file plans, what is wrong with one."""
import json
import os
import shutil
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

from sweeps import CAPACITY, Folder, call, fine


def values(plan):
    """The rows without id and number."""
    return [row[2:] for row in plan['points']]


# ---- what a file plans ----

def plans(check, folder):
    plan = folder.plan({'policy': ['lru', 'lfu'], CAPACITY: ['8slots', '25%']})
    check.equal('combinations in axis order, the first axis the slowest', values(plan), [['lru', '8slots'], ['lru', '25%'], ['lfu', '8slots'], ['lfu', '25%']])
    check.equal('numbers', [row[1] for row in plan['points']], [0, 1, 2, 3])
    check.equal('columns', plan['columns'], [{'name': 'policy', 'axis': 'policy', 'values': 'texts'}, {'name': CAPACITY, 'axis': CAPACITY, 'values': 'texts'}])
    check.equal('each has an id of its own', len({row[0] for row in plan['points']}), 4)
    ranges = [
        ({'from': 1, 'to': 7, 'step': 2}, [1, 3, 5, 7]), ({'from': 1, 'to': 8, 'step': 2}, [1, 3, 5, 7]), ({'from': 2, 'to': 2, 'step': 1}, [2]),
        ({'from': 1, 'to': 9, 'count': 3}, [1, 5, 9]), ({'from': 1, 'to': 64, 'count': 4, 'scale': 'log'}, [1, 4, 16, 64]),
        ({'from': 1, 'to': 50, 'count': 4, 'scale': 'log', 'step': 1}, [1, 4, 14, 50]),
    ]
    for given, want in ranges:
        check.equal(str(given), values(folder.plan({'seed': given})), [[v] for v in want])
    reals = values(folder.plan({'channels.gpu.timing.dense': {'from': '0.1ms', 'to': '0.3ms', 'step': '0.1ms'}}))
    check.equal('a range of times', reals, [['100us'], ['200us'], ['300us']])
    for given, want in [
            ({'from': '10%', 'to': '50%', 'step': '20%'}, ['10%', '30%', '50%']), ({'from': '1MiB', 'to': '16MiB', 'count': 3, 'scale': 'log'}, ['1MiB', '4MiB', '16MiB']),
            ({'from': '4slots', 'to': '8slots', 'count': 2}, ['4slots', '8slots'])]:
        check.equal(str(given), values(folder.plan({CAPACITY: given})), [[v] for v in want])
    pairs = {'k': {'paths': ['compute.guess_top', CAPACITY], 'values': [[5, '8slots'], [10, '16slots']], 'labels': ['few', 'many']}, 'policy': ['lru', {'name': 'lfu', 'counts': 'resident'}]}
    check.equal('keys that move together, with labels and whole parts', values(folder.plan(pairs)), [
        ['few', 5, '8slots', 'lru'], ['few', 5, '8slots', '{"name":"lfu","counts":"resident"}'],
        ['many', 10, '16slots', 'lru'], ['many', 10, '16slots', '{"name":"lfu","counts":"resident"}']])
    check.equal('another key than the name', folder.plan({'size': {'path': CAPACITY, 'values': ['8slots']}})['columns'][0], {'name': CAPACITY, 'axis': 'size', 'values': 'texts'})


def designs(check, folder):
    axes = {'policy': ['lru', 'lfu'], CAPACITY: {'from': '10%', 'to': '90%'}, 'compute.lookahead': {'from': 1, 'to': 9, 'step': 1}}
    plan = values(folder.plan(axes, design={'points': 4}))
    check.equal('a Sobol sequence fills the ranges', plan[:4], [['lru', '50%', 5], ['lru', '70%', 3], ['lru', '30%', 7], ['lru', '40%', 4]])
    check.equal('lists are crossed with it', [row[1:] for row in plan[4:]], [row[1:] for row in plan[:4]])
    one, two, other = (values(folder.plan(axes, design={'kind': 'random', 'points': 20, 'seed': seed})) for seed in (1, 1, 2))
    check.equal('draws depend on the seed alone', (one == two, one == other), (True, False))
    check.equal('and stay in range', all(10 <= float(row[1][:-1]) <= 90 and 1 <= row[2] <= 9 and row[2] == int(row[2]) for row in one), True)


def constrained(check, folder):
    axes = {'policy': ['lru', 'lfu'], CAPACITY: ['8slots', '16slots', '1MiB', '50%'], 'seed': [1, 2]}
    def kept(*constraints):
        plan = folder.plan(axes, constraints=list(constraints))
        check.equal('what is left out is counted', plan['counts']['left_out'] + len({row[1] for row in plan['points']}), plan['counts']['combinations'])
        return {(row[0], row[1], row[2]) for row in values(plan)}
    everything = kept()
    check.equal('all of it', len(everything), 16)
    check.equal('a text', kept("policy == 'lru'"), {r for r in everything if r[0] == 'lru'})
    check.equal('either or', kept("policy == 'lru' or seed > 1"), {r for r in everything if r[0] == 'lru' or r[2] > 1})
    check.equal('several', kept("policy != 'lru'", 'seed == 1', CAPACITY + ' <= 16'), {('lfu', c, 1) for c in ('8slots', '16slots', '50%')})
    check.equal('a quantity', kept(CAPACITY + ' == 1MiB'), {r for r in everything if r[1] == '1MiB'})
    check.equal('of the base', kept("trace.source.layers * seed <= 4"), {r for r in everything if r[2] == 1})
    check.equal('a label', values(folder.plan({'who': {'path': 'policy', 'values': ['lru', 'lfu'], 'labels': ['A', 'B']}}, constraints=["who == 'B'"])), [['B', 'lfu']])


def replicated(check, folder):
    plan = folder.plan({'policy': ['lru', 'fifo']}, replications={'count': 3, 'first': 5, 'vary': ['trace.source.seed']})
    check.equal('replications are the innermost', values(plan), [[p, r] for p in ('lru', 'fifo') for r in (5, 6, 7)])
    check.equal('and share their number', [row[1] for row in plan['points']], [0, 0, 0, 1, 1, 1])
    check.equal('each has its own trace', plan['counts']['traces'], 3)
    folder.traces()
    plan = folder.plan({'policy': ['lru', 'fifo']}, replications={'count': 2, 'traces': ['a.h5', {'path': 'b.h5', 'format': 'native'}]})
    check.equal('on each trace', [row[1:] for row in values(plan)], 2 * [['a.h5', 0], ['a.h5', 1], ['{"path":"b.h5","format":"native"}', 0], ['{"path":"b.h5","format":"native"}', 1]])
    check.equal('two traces', plan['counts']['traces'], 2)


def ids(check, folder):
    """An id follows what is simulated and nothing else."""
    axes = {'policy': ['lru', 'lfu'], 'trace.path': ['a.h5', 'b.h5']}
    plan = folder.plan(axes)
    inline = json.loads(fine('plan', folder.write('inline.json', {'base': {'include': 'base.json'}, 'axes': axes}), '--json'))
    there = json.loads(fine('plan', 'sweep.json', '--json', cwd=folder.path))
    check.equal('the same base written in place, another name for the sweep', inline['points'], plan['points'])
    check.equal('from another directory', there['points'], plan['points'])
    os.mkdir(folder.at('moved'))
    for name in ('base.json', 'sweep.json', 'a.h5', 'b.h5'):
        shutil.copy(folder.at(name), folder.at('moved', name))
    check.equal('moved elsewhere', json.loads(fine('plan', folder.at('moved', 'sweep.json'), '--json'))['points'], plan['points'])
    shutil.copy(folder.at('a.h5'), folder.at('moved', 'b.h5'))
    moved = json.loads(fine('plan', folder.at('moved', 'sweep.json'), '--json'))
    check.equal('two files with the same content are one trace', (len(moved['points']), moved['counts']['alike']), (2, 2))
    check.equal('what is left is what was', [row[0] for row in moved['points']], [row[0] for row in plan['points'][::2]])
    alike = folder.plan({'policy': ['lru', {'name': 'lru'}, 'lfu'], 'seed': [1, 2]})
    check.equal('what is alike is one point', (len(alike['points']), alike['counts']['alike']), (4, 2))
    check.equal('and the text says so', '2 more would have the same result' in call('plan', folder.at('sweep.json')).stdout, True)
    for key, value in (('compute.lookahead', 2), ('contract.skip_tokens', 1), ('tiers.cache.grace', '1ms')):
        check.equal(key + ' changes the id', folder.plan({key: [value]})['points'][0][0] != folder.plan({'seed': [1]})['points'][0][0], True)


# ---- what is wrong ----

WRONG = [
    # (the file, what is said behind its name)
    ('[', ': line 1'), ([], ': found a list, needs an object with base and axes'),
    ({'axes': {'seed': [1]}}, ': base: is missing'), ({'base': 'base.json'}, ': axes: is missing'),
    ({'base': 'none.json', 'axes': {'seed': [1]}}, ': base: DIR/none.json: cannot open: No such file or directory'),
    ({'base': 3, 'axes': {'seed': [1]}}, ': base: found a number, needs the path of a config, or a config'),
    ({'base': {'include': 'base.json', 'polici': 'lru'}, 'axes': {'seed': [1]}}, ': FILE: unknown option "polici"; did you mean "policy"? (at seed=1)'),
    ({'base': 'base.json', 'axes': {}}, ': axes: there is none; without one it is a run'),
    ({'base': 'base.json', 'axes': []}, ': axes: found a list, needs an object: {"policy": ["lru", "lfu"], ...}'),
    ({'base': 'base.json', 'axes': {'seed': []}}, ': axes.seed.values: found an empty list, needs a list of at least one value'),
    ({'base': 'base.json', 'axes': {'seed': 3}}, ': axes.seed: found a number, needs a list of values or an object'),
    ({'base': 'base.json', 'axes': {'seed': {'form': 1}}}, ': axes.seed: unknown option "form"; did you mean "from"?'),
    ({'base': 'base.json', 'axes': {'seed': {}}}, ': axes.seed.values: are missing, and so is a range (from, to)'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 3}}}, ': axes.seed.count: is missing; a range needs a count, a step, or a design'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 3, 'to': 1, 'step': 1}}}, ': axes.seed.to: is below from, so there is nothing between'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': '5%', 'step': 1}}}, ': axes.seed.to: is of another unit than from'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 'x', 'step': 1}}}, ': axes.seed.to: "x" is no quantity; ranges go over numbers, bytes ("4GiB"), times, rates, shares ("5%") and slots'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 2, 'step': 0}}}, ': axes.seed.step: is not above 0'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 0, 'to': 2, 'count': 3, 'scale': 'log'}}}, ': axes.seed.scale: log needs a from above 0'),
    ({'base': 'base.json', 'axes': {'seed': {'values': [1], 'from': 0, 'to': 2}}}, ': axes.seed.values: stand beside a range; an axis has one of them'),
    ({'base': 'base.json', 'axes': {'k': {'paths': ['seed', 'replication'], 'values': [[1, 2], [3]]}}}, ': axes.k.values.1: needs a list of 2 values, one per path'),
    ({'base': 'base.json', 'axes': {'k': {'path': 'seed', 'values': [1, 2], 'labels': ['a']}}}, ': axes.k.labels: 1 for 2 values; each value needs one'),
    ({'base': 'base.json', 'axes': {'seed': {'values': [1, 2], 'labels': ['a', 'b']}}}, ': axes.seed.labels: need a column of their own; give the axis another name, and its key as path'),
    ({'base': 'base.json', 'axes': {'seed': [1], 'k': {'path': 'seed', 'values': [2]}}}, ': axes.k: seed takes values from axis seed already'),
    ({'base': 'base.json', 'axes': {'polici': ['lru']}}, ': axes.polici: unknown option "polici"; did you mean "policy"? (at polici=lru)'),
    ({'base': 'base.json', 'axes': {'contract.scope': ['global', 'layers']}}, ': axes.contract.scope: contract.scope: "layers" is not one of global, layer; did you mean "layer"? (at contract.scope=layers)'),
    ({'base': 'base.json', 'axes': {'policy': ['lru', 'lruu']}}, ': axes.policy: policy.name: there is no policy "lruu"; did you mean "lru"? (at policy=lruu)'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'replications': {'vary': ['trace.source.sed']}}, ': replications: trace.source: unknown option "sed"; did you mean "seed"? (at seed=1, replication 0)'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'replications': {'vary': ['seed']}}, ': axes.seed: seed takes values from replications already'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'replications': {'count': 0}}, ': replications.count: 0 is below 1, the least it may be'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'replications': {'vary': 'seed'}}, ': replications.vary: needs a list of at most 8 keys, such as ["trace.source.seed"]'),
    ({'base': 'base.json', 'axes': {'seed': [1, 2]}, 'constraints': ['seed > 2']}, ': constraints: leave nothing of 2 combinations'),
    ({'base': 'base.json', 'axes': {'seed': [1, 2]}, 'constraints': ['sed > 2']}, ': constraints.0: "sed > 2": no axis has a value of sed, nor has the base'),
    ({'base': 'base.json', 'axes': {'seed': [1, 2]}, 'constraints': ['1', 'seed >']}, ': constraints.1: "seed >": a number, a path or a parenthesis should stand at ""'),
    ({'base': 'base.json', 'axes': {'seed': [1, 2]}, 'constraints': 'seed > 2'}, ': constraints: found a text, needs a list of texts'),
    ({'base': 'base.json', 'axes': {'seed': [1, 2]}, 'design': {'points': 3}}, ': design: there is no range to take points from; give an axis from and to'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 9, 'count': 2}}, 'design': {'points': 3}}, ': axes.seed.count: the design says how many values there are'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 9}}, 'design': {'kind': 'halton', 'points': 3}}, ': design.kind: "halton" is not one of sobol, random'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'metrics': {'a': 'cache.hits /'}}, ': metrics.a: "cache.hits /": a number, a path or a parenthesis should stand at ""'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'metrics': {'seed': 'cache.hits'}}, ': metrics: axis seed has a column of the same name as one of them'),
    ({'base': 'base.json', 'axes': {'seed': [1]}, 'limits': {'time': 3}}, ': limits.time: found a number, needs a text with a unit such as "3.4ms"'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 1e6, 'step': 1}, 'policy': ['lru', 'lfu']}}, ': axes: make 2000000 points; more than 1000000 need --yes'),
    ({'base': 'base.json', 'axes': {'seed': {'from': 1, 'to': 1e8, 'step': 1}}}, ': axes.seed: has 100000000 values; more than 1000000 need --yes'),
    ({'base': 'base.json', 'axes': {'tiers.cash.capacity': ['1GiB']}}, ': axes.tiers.cash.capacity: the base has no tiers.cash; it has tiers.cache and others'),
    ({'base': 'base.json', 'axes': {'size': {'paths': ['tiers.hots.capacity'], 'values': [['1GiB']]}}}, ': axes.size: the base has no tiers.hots; it has tiers.host'),
    ({'base': 'base.json', 'axes': {'seed': [1], 'observers': [['summary', {'name': 'events', 'path': 'log'}]]}},
     ': observers: events writes log, and so would every point; leave it out of a sweep (at seed=1, observers=["summary",{"name":"events","path":"log"}])'),
    ({'base': 'base.json', 'axes': {'trace.path': ['-']}}, ': trace.path: standard input can be read only once; a sweep needs a file (at trace.path=-)'),
]


def wrong(check, folder):
    for content, said in WRONG:
        path = folder.write('wrong.json', content)
        done = call('plan', path)
        text = done.stderr.strip().replace(path, 'FILE').replace(folder.path, 'DIR')
        check.equal(json.dumps(content), (done.returncode, done.stdout, text.startswith('expertsim: FILE' + said) if content == '[' else text),
                    (2, '', True if content == '[' else 'expertsim: FILE' + said))
    for args, said in [(['plan'], 'sweep: sweep plan takes one file or folder'), (['paln', 'x'], 'there is no sweep paln; did you mean "sweep plan"?'), ([], 'sweep: what to do with it?')]:
        done = call(*args)
        check.equal(' '.join(args), (done.returncode, said in done.stderr or done.stderr), (2, True))


def main():
    check = tool.Check('sweep')
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(path)
        plans(check, folder)
        designs(check, folder)
        constrained(check, folder)
        replicated(check, folder)
        ids(check, folder)
        wrong(check, folder)
    check.close()


if __name__ == '__main__':
    main()
