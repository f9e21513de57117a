"""Random small machines and traces, to the nanosecond against the oracles of the timed core (ref_timed.py, ref_prefetch.py), and their
lower bounds against another algorithm (bound_reference.py): no oracle is faster, and who knows the future is between.

Times, sizes and rates are round, so that much happens at one instant: copies land while gates are passed and layers end. Each case is
one trace and one machine, run by the tool and by the oracle. ES_SEED and ES_CASES as for the other property tests; ES_CASE runs one
case alone and keeps its trace in the working directory.
"""
import contextlib
import io
import json
import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'golden')]
import bound_reference
import timed
import tool

CASES, MULTIPLE = 300, 1000003         # cases by default; keeps the seeds of neighbouring runs apart


class Dice:
    """Draws that are the same on every Python: made from random.random() alone."""

    def __init__(self, seed):
        self.draw = random.Random(seed).random

    def below(self, n):
        return int(self.draw() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def pick(self, *values):
        return values[self.below(len(values))]


def row(dice, experts, k, before, again):
    """k ids that differ, each likely the one that the token before had in its place."""
    ids = []
    while len(ids) < k:
        old = before[len(ids)] if len(before) > len(ids) and dice.chance(again) else None
        new = dice.below(experts) if old is None or old in ids else old
        if new not in ids:
            ids.append(new)
    return ids


def draw_trace(dice):
    """Rows (request, token, phase, layer, ids) and the numbers of the layers; some rows are missing, some short. The last token has all layers to its
    end: a file that stops before is torn."""
    numbers = [1 + 2 * i for i in range(dice.between(1, 4))]
    experts, k = dice.between(2, 12), dice.between(1, 4)
    k, again, missing, short = min(k, experts), dice.pick(0, 40, 80), dice.pick(0, 0, 20), dice.pick(0, 0, 30)
    rows, before = [], {}
    for request in range(dice.between(1, 3)):
        prompt = dice.pick(0, 0, 1, 3, 5)
        for token in range(prompt + dice.between(1, 12)):
            for layer in numbers:
                if dice.chance(missing):
                    continue
                ids = row(dice, experts, dice.between(1, k) if dice.chance(short) else k, before.get(layer, []), again)
                before[layer] = ids
                rows.append((request, token, 'P' if token < prompt else 'D', layer, ids))
    seen = sorted({r[3] for r in rows})
    for layer in [s for s in seen if s > rows[-1][3]]:
        rows.append(rows[-1][:3] + (layer, row(dice, experts, k, before.get(layer, []), again)))
    return rows, seen, experts, k


def draw_machine(dice, layers, experts, k, guess):
    """The oracle's arguments. A byte takes a nanosecond or a part of one; everything else is a multiple of 500 ns.

    With guesses dense is above 0. At 0 a layer ends and the next gate is passed in one instant; the oracle's text lets copies start when
    an instant is over, its code after each of the two.
    """
    sizes = [dice.pick(500, 1000, 1500, 2000)] * len(layers) if dice.chance(60) else [dice.pick(500, 1000, 1500, 2000) for _ in layers]
    total = experts * sum(sizes)
    room = dice.between(1, 3 * k) * max(sizes) + dice.pick(0, 0, 300) if dice.chance(75) else dice.between(max(sizes), max(total, max(sizes)))
    a = {'capacity-bytes': str(room), 'rate': dice.pick('1e9', '1e9', '2e9', '3e9'), 'latency-ns': str(dice.pick(0, 0, 500, 1000)),
         'dense-ns': str(dice.pick(500 if guess else 0, 500, 1000, 2000, 4000)), 'expert-ns': str(dice.pick(0, 500, 1000, 1500)), 'token-ns': str(dice.pick(0, 0, 500))}
    if not guess:
        a['order'] = dice.pick('resident_first', 'resident_first', 'in_order', 'barrier')
    return a, sizes


def write_trace(path, rows, k):
    with open(path, 'w') as f:
        f.write('request_id,token_index,phase,layer,%s\n' % ','.join('e%d' % i for i in range(k)))
        for request, token, phase, layer, ids in rows:
            f.write('%d,%d,%s,%d,%s\n' % (request, token, phase, layer, ','.join(str(e) for e in ids + [''] * (k - len(ids)))))


def oracle(module, args):
    """What the oracle prints for this command line."""
    said, argv = io.StringIO(), sys.argv
    sys.argv = [module.__name__] + args
    try:
        with contextlib.redirect_stdout(said):
            module.main()
    finally:
        sys.argv = argv
    return json.loads(said.getvalue())


def reference_bound(trace, layers, sizes, a, ref_timed):
    size = dict(zip(layers, sizes))
    steps = []
    for _, step in ref_timed.steps_of(trace):
        tokens = {}
        for layer, rows in step.items():
            for _, ids in rows:
                for expert in ids:
                    served = tokens.setdefault(layer, {})
                    served[expert] = served.get(expert, 0) + 1
        steps.append(tokens)
    copy = {layer: int(a['latency-ns']) + ref_timed.rnd(b * 1e9 / float(a['rate'])) for layer, b in size.items()}
    return bound_reference.lower_bound(steps, layers, size, int(a['capacity-bytes']), copy, int(a['dense-ns']), int(a['expert-ns']), int(a['token-ns']))


def bounded(check, number, trace, a, guess, want, reference):
    config = timed.machine(trace, a, guess, ['summary'])
    config['bounds'] = True
    bounds = tool.run(config)['bounds']
    lower, some = timed.ns(bounds['lower_bound_s']), timed.ns(bounds['clairvoyant_s'])
    check.equal('case %d: lower bound' % number, lower, reference)
    check.equal('case %d: %s <= %s <= %s' % (number, lower, some, want['total_ns']), lower <= some <= want['total_ns'], True)
    return lower > timed.ns(bounds['all_resident_s'])


def case(check, number, seed, folder, modules):
    dice = Dice(seed * MULTIPLE + number)
    guess = number % 2 == 1
    rows, layers, experts, k = draw_trace(dice)
    if not rows:
        return False
    a, sizes = draw_machine(dice, layers, experts, k, guess)
    trace, layer_bytes = os.path.join(folder, 'case%d.csv' % number), os.path.join(folder, 'case%d.txt' % number)
    write_trace(trace, rows, k)
    with open(layer_bytes, 'w') as f:
        f.writelines('%d %d\n' % pair for pair in zip(layers, sizes))
    if len(set(sizes)) == 1:
        a['expert-bytes'] = str(sizes[0])
    else:
        a['layer-bytes'] = layer_bytes
    args = [word for key, value in a.items() for word in ('--' + key, value)]
    want = oracle(modules[guess], [trace] + args)
    before = check.different
    for way, observers in timed.WAYS.items():
        timed.compare(check, 'case %d, %s' % (number, way), tool.run(timed.machine(trace, timed.arguments(args), guess, observers)), want)
    above = bounded(check, number, trace, timed.arguments(args), guess, want, reference_bound(trace, layers, sizes, timed.arguments(args), modules[0]))
    if check.different > before:
        print('case %d: %s' % (number, ' '.join(args)))
    return above


def main():
    tool.need_traces()
    sys.path.insert(0, tool.TRACES)
    import ref_prefetch
    import ref_timed
    seed, cases = int(os.environ.get('ES_SEED') or 1), int(os.environ.get('ES_CASES') or CASES)
    only = os.environ.get('ES_CASE')
    print('random_timed: %d cases, seed %d' % (1 if only else cases, seed))
    check = tool.Check('random_timed')
    with tempfile.TemporaryDirectory() as folder:
        above = [case(check, number, seed, os.getcwd() if only else folder, (ref_timed, ref_prefetch)) for number in ([int(only)] if only else range(cases))]
    if not only:
        check.equal('bounds above compute are %d of %d, more than a third' % (sum(above), len(above)), 3 * sum(above) > len(above), True)
    check.close()


if __name__ == '__main__':
    main()
