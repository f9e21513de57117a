"""The prefetcher of the expert pool (seed 000) as parts: on a generated trace each predictor names, layer by layer and token by token, what
the same trace makes tests/oracle/seed000.py name.

Compared are counts of the predictor observer: how many guesses were made one, two and three layers ahead, how many of them were wanted, and
how often the first was; for the layers' own histories, for ids carried to the layers ahead, and as coded, where nothing is ever ahead.
"""
import csv
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import seed000
import tool

LAYERS, EXPERTS, TOP_K, AHEAD = 6, 32, 4, 3
TRACE = {'layers': LAYERS, 'experts': EXPERTS, 'top_k': TOP_K, 'requests': 4, 'decode_tokens': 120, 'reuse': 0.5, 'cross_layer': 0.3}


def tokens(path):
    """[(request, position, [ids of each layer])] in the order of the trace."""
    rows = {}
    with open(path, newline='') as file:
        for row in csv.DictReader(file):
            ids = [int(row['e%d' % i]) for i in range(TOP_K) if row['e%d' % i]]
            rows.setdefault((int(row['request_id']), int(row['token_index'])), {})[int(row['layer'])] = ids
    return [(request, position, [layers[l] for l in sorted(layers)]) for (request, position), layers in rows.items()]


def kernel(oracle, layer, newest, decay=.9):
    """Attention of a trace that has no table: one head, a position i back has decay^i."""
    weights, pattern = 1.0, []
    while len(pattern) <= newest and weights > 1e-6:
        pattern.append(weights)
        weights *= decay
    # the newest first, as the simulator meets them; equals stand as they are met
    score = {}
    for back, weight in enumerate(pattern):
        for e in oracle.at[layer].get(newest - back, ()):
            score[e] = score.get(e, 0.0) + weight
    return oracle.best(score)


def ranking(name, oracle, layer, now, position):
    if not oracle.history[layer]:
        return []
    if name == 'topk_recency':
        return oracle.topk_recency(layer)
    if name == 'repeat':
        return oracle.repeat(oracle.history[layer][-1])
    if name == 'history':
        return oracle.counts(layer, oracle.history[layer][-1])
    newest = max(oracle.at[layer], default=None)
    if newest is None:                  # a new request: nothing of it is known in this layer, so the last tokens of whatever request
        score = {}
        for back, ids in enumerate(reversed(oracle.history[layer])):
            for e in ids:
                score[e] = score.get(e, 0.0) + .9 ** back
        return oracle.best(score)
    return kernel(oracle, layer, newest)


def replay(trace, name, ahead):
    """{distance: [asks, guesses, right, first right]} as the observer counts them."""
    oracle = seed000.Prefetcher()
    said, count, request_before = {}, {d: [0, 0, 0, 0] for d in range(1, AHEAD + 1)}, None
    for request, position, layers in trace:
        for layer, ids in enumerate(layers):
            if request != request_before:
                oracle.at.clear()
                request_before = request
            for d in range(1, AHEAD + 1):
                guesses = said.pop((d, layer), None)
                if guesses is None:
                    continue
                right = [g == (layer, e) for g in guesses for e in ids if g[1] == e]
                count[d][0] += 1
                count[d][1] += len(guesses)
                count[d][2] += sum(right)
                count[d][3] += bool(guesses) and guesses[0][0] == layer and guesses[0][1] in ids
            oracle.record(layer, ids, position)
            for d in range(1, AHEAD + 1):
                to = (layer + d) % LAYERS
                if ahead == 'own':
                    guesses = [(to, e) for e in ranking(name, oracle, to, ids, position)]
                elif ahead == 'carried':
                    guesses = [(to, e) for _, e in oracle.queue_as_documented(0, ranking(name, oracle, layer, ids, position), 1)]
                else:
                    guesses = oracle.queue_as_coded(layer, ids, ranking(name, oracle, layer, ids, position), AHEAD) if d == 1 else []
                said[d, to] = guesses
    return count


def measured(path, name, ahead):
    config = dict(tool.untimed(path, '60slots'), predictor={'name': name, 'ahead': ahead}, compute={'lookahead': AHEAD},
                  observers=[{'name': 'predictor', 'ahead': AHEAD}])
    said = tool.run(config)['predictor']
    return {d: [q['asks'], q['guesses'], round((q['precision'] or 0) * q['guesses']), round((q['first_right'] or 0) * q['asks'])]
            for d, q in ((d, said['ahead_%d' % d]) for d in range(1, AHEAD + 1))}


def main():
    check = tool.Check('pool_predictors')
    with tempfile.TemporaryDirectory() as folder:
        path, text = os.path.join(folder, 'trace.h5'), os.path.join(folder, 'trace.csv')
        tool.command([tool.TOOL, 'trace', 'generate', '-o', path] + ['--set=%s=%s' % item for item in TRACE.items()])
        tool.command([tool.TOOL, 'trace', 'export', path, '-o', text])
        trace = tokens(text)
        check.equal('tokens', len(trace), 480)
        for name in ('topk_recency', 'repeat', 'history', 'attention'):
            for ahead in ('own', 'carried', 'as_coded'):
                want, got = replay(trace, name, ahead), measured(path, name, ahead)
                check.equal('%s, %s' % (name, ahead), got, want)
                check.equal('%s, %s: some right' % (name, ahead), got[1][2] > 0, ahead != 'as_coded')
    check.close()


if __name__ == '__main__':
    main()
