"""How good guesses are: top-n accuracy, coverage of all experts wanted, calibration of the confidences.

A case is a layer of a step with the experts that it then used. `right` is the share of the first 1 and the first k guesses that were
wanted; top-n the share of wanted experts among the first n guesses (with k of them, top-1 cannot be above 1 / k); first, top-n the
same of the token's first expert alone; all-k in n the share of cases with every wanted expert among n guesses.
"""
import numpy as np

TOP, ALL, BINS, KNOTS = (1, 5, 10, 20), (5, 10, 15, 20, 30), 10, 24


class Tally:
    def __init__(self, name, experts):
        self.name, self.experts, self.cases, self.wanted = name, experts, 0, 0
        self.top, self.first, self.all = (np.zeros(experts + 1) for _ in range(3))
        self.bins = {which: np.zeros((BINS, 3)) for which in ('all experts', 'first k guesses')}    # told, confidence, came

    def add(self, score, sure, ids, used):
        """[layers][experts] scores (-inf: no guess) and confidences; the layers' experts as a list (-1 behind its end) and as 0 and 1."""
        order = np.argsort(-score, axis=1, kind='stable')
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.broadcast_to(np.arange(self.experts), order.shape), 1)
        rank[~np.isfinite(score)] = self.experts
        want = used > 0
        self.cases += len(rank)
        self.wanted += want.sum()
        self.top += np.bincount(rank[want], minlength=self.experts + 1)
        self.first += np.bincount(np.take_along_axis(rank, ids[:, :1], 1)[:, 0], minlength=self.experts + 1)
        self.all += np.bincount(np.where(want, rank, -1).max(1), minlength=self.experts + 1)
        k = want.sum(1, keepdims=True)
        for which, told in (('all experts', np.isfinite(score)), ('first k guesses', rank < k)):
            c, came = sure[told], want[told]
            b = np.minimum((c * BINS).astype(int), BINS - 1)
            self.bins[which] += np.stack([np.bincount(b, w, BINS) for w in (np.ones_like(c), c, came)], 1)

    def share(self, ranks, n, whole):
        return ranks[:min(n, self.experts)].sum() / whole

    def calibration_error(self, which):
        told, confidence, came = self.bins[which].T
        return np.abs(confidence - came).sum() / told.sum()


def percent(share):
    return '%.2f' % (100 * share)


# What two published designs say of their own predictors, for other models and traces: the first of four experts among 60 (MODEL_RESULTS.md of
# qwen15_moe_a27b) and top-1 of 128 (the guide of the virtual memory manager).
SEEDS = {'first expert, top-1': '47.55; 33.86', 'first expert, top-5': '73.85', 'first expert, top-10': '87.43', 'first expert, top-20': '97.02',
         'all-4 in 5': '22.74', 'all-4 in 10': '30.57', 'all-4 in 15': '34.66', 'all-4 in 20': '39.04', 'all-4 in 30': '50.67'}


def table(tallies, width, seeds=False):
    """Markdown: a column for each predictor; shares in percent. With `seeds` a last one of what was published elsewhere."""
    rows = [('right, of the first %d' % n, lambda t, n=n: percent(t.top[:n].sum() / (n * t.cases))) for n in (1, width)]
    rows += [('top-%d' % n, lambda t, n=n: percent(t.share(t.top, n, t.wanted))) for n in TOP]
    rows += [('first expert, top-%d' % n, lambda t, n=n: percent(t.share(t.first, n, t.cases))) for n in TOP]
    rows += [('all-%d in %d' % (width, n), lambda t, n=n: percent(t.share(t.all, n, t.cases))) for n in ALL]
    rows += [('calibration error, ' + which, lambda t, which=which: '%.4f' % t.calibration_error(which)) for which in tallies[0].bins]
    names = [t.name for t in tallies] + ['seeds'] * seeds
    lines = ['| | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    return '\n'.join(lines + ['| %s | %s |' % (label, ' | '.join([figure(t) for t in tallies] + [SEEDS.get(label, '')] * seeds)) for label, figure in rows])


def reliability(tally, which):
    """One row per tenth of confidence: how many guesses, what was told on average, what came."""
    lines = ['| confidence | guesses | told | came |', '|---|---|---|---|']
    for b, (told, confidence, came) in enumerate(tally.bins[which]):
        if told:
            lines.append('| %.1f to %.1f | %d | %.3f | %.3f |' % (b / BINS, (b + 1) / BINS, told, confidence / told, came / told))
    return '\n'.join(lines)


def calibrate(score, wanted):
    """[KNOTS][2] (score, chance), both rising: what share came of the experts scored about so (pool adjacent violators).

    Knots stand closest where the wanted experts are: half of the weight is theirs, few as they are."""
    order = np.argsort(score.ravel(), kind='stable')
    x, y = score.ravel()[order].astype(np.float64), wanted.ravel()[order].astype(np.float64)
    mass = np.cumsum(0.5 * y / y.sum() + 0.5 * (1 - y) / (1 - y).sum())
    cell = np.minimum((mass * KNOTS).astype(int), KNOTS - 1)
    count, came = np.bincount(cell, minlength=KNOTS), np.bincount(cell, y, KNOTS)
    at = np.bincount(cell, x, KNOTS) / np.maximum(count, 1)
    if count.min() == 0 or np.diff(at).min() <= 0:
        raise SystemExit('the validation requests are too short to calibrate by')
    pools = []                              # (cases, came, knots)
    for n, c in zip(count, came):
        pools.append((n, c, 1))
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            pools[-2:] = [tuple(np.add(pools[-2], pools[-1]))]
    chance = np.concatenate([np.full(int(knots), c / n) for n, c, knots in pools])
    return np.stack([at, chance], 1)
