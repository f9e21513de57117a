"""How good guesses are: top-n accuracy, coverage of all experts wanted, calibration of the confidences.

A case is a layer of a step with the experts that it then used. `right` is the share of the first 1 and the first k guesses that were
wanted; top-n the share of wanted experts among the first n guesses (with k of them, top-1 cannot be above 1 / k); first, top-n the
same of the token's first expert alone; all-k in n the share of cases with every wanted expert among n guesses.
"""
import numpy as np

TOP, ALL, BINS = (1, 5, 10, 20), (5, 10, 15, 20, 30), 10


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


def table(tallies, width):
    """Markdown: a column for each predictor; shares in percent."""
    rows = [('right, of the first %d' % n, lambda t, n=n: percent(t.top[:n].sum() / (n * t.cases))) for n in (1, width)]
    rows += [('top-%d' % n, lambda t, n=n: percent(t.share(t.top, n, t.wanted))) for n in TOP]
    rows += [('first expert, top-%d' % n, lambda t, n=n: percent(t.share(t.first, n, t.cases))) for n in TOP]
    rows += [('all-%d in %d' % (width, n), lambda t, n=n: percent(t.share(t.all, n, t.cases))) for n in ALL]
    rows += [('calibration error, ' + which, lambda t, which=which: '%.4f' % t.calibration_error(which)) for which in tallies[0].bins]
    lines = ['| | ' + ' | '.join(t.name for t in tallies) + ' |', '|---' * (len(tallies) + 1) + '|']
    return '\n'.join(lines + ['| %s | %s |' % (label, ' | '.join(figure(t) for t in tallies)) for label, figure in rows])


def reliability(tally, which):
    """One row per tenth of confidence: how many guesses, what was told on average, what came."""
    lines = ['| confidence | guesses | told | came |', '|---|---|---|---|']
    for b, (told, confidence, came) in enumerate(tally.bins[which]):
        if told:
            lines.append('| %.1f to %.1f | %d | %.3f | %.3f |' % (b / BINS, (b + 1) / BINS, told, confidence / told, came / told))
    return '\n'.join(lines)
