"""The predictors once more in numpy, step by step as sim/predict has them: what the C parts must say is taken from here.

Each gives, for one layer ahead, the scores that order all experts and the confidences, [layers][experts] per step.
"""
import numpy as np


def confidence(knots, score):
    """Linear between the knots (score, chance), constant beyond."""
    return np.interp(score, knots[:, 0], knots[:, 1])


# of a weights file: where each array stands (FORMAT.md), and what it is called here
ARRAYS = (('hidden/weights', 'in'), ('hidden/bias', 'threshold'), ('out/weights', 'out'), ('out/bias', 'bias'), ('out/position', 'position'),
          ('out/repeat', 'repeat'), ('calibration', 'calibration'))


class Learned:
    """A weights file's content (FORMAT.md), in double precision and in the order of the sums of sim/predict/learned.c."""

    def __init__(self, model, trace):
        self.model, self.trace = model, trace

    def scores(self, step, ahead=1):
        m, trace = self.model, self.trace
        context = m['in'].shape[1] - 1
        distance = min(ahead, m['bias'].shape[0]) - 1
        places = trace.places(np.array([step]), context, ahead)[0]
        hidden = m['threshold'].astype(np.float64)
        for place in range(context + 1):
            for layer in range(trace.layers):
                back = place + 1 if place < context else trace.layers
                source = (step, layer - back) if layer >= back else (step - 1, layer - back + trace.layers)
                for i in trace.ids[source]:
                    if i >= 0 and places[layer, place, i]:
                        hidden[layer] += trace.weight[source] * m['in'][layer, place, i].astype(np.float64)
        bucket = trace.bucket(np.array([step]), m['position'].shape[1])[0]
        score = m['bias'][distance].astype(np.float64) + m['position'][:, bucket]
        for layer in range(trace.layers if trace.same[step] else 0):
            for i in trace.ids[step - 1, layer]:
                if i >= 0:
                    score[layer, i] += trace.weight[step - 1, layer] * m['repeat'][layer, i].astype(np.float64)
        for j in range(hidden.shape[1]):
            score += np.maximum(hidden[:, j], 0.0)[:, None] * m['out'][:, j].astype(np.float64)
        return score, confidence(m['calibration'][distance], score)


class Transition:
    """The counts of sim/predict/transition.c with its default options, asked one layer ahead at every gate."""
    BINS, FOLD = 20, 16

    def __init__(self, trace, layers=2, weight=0.5, prior=4.0):
        L, E = trace.layers, trace.experts
        self.trace, self.context, self.weight, self.prior = trace, min(layers, L - 1), weight, prior
        self.groups = self.context + 1
        self.pairs, self.seen = np.zeros((self.groups, L, E, E)), np.zeros((self.groups, L, E))
        self.used, self.events = np.zeros((L, E)), np.zeros(L)
        self.told, self.came = np.zeros(self.BINS), np.zeros(self.BINS)
        self.layer = np.arange(L)

    def witnesses(self, step, group, across):
        """[layers][n] experts, -1 behind their end. `across`: per layer, whether the step before is still remembered."""
        ids, L = self.trace.ids, self.trace.layers
        old = ids[step - 1] if step > 0 else np.full_like(ids[0], -1)
        if group == self.context:
            out = old.copy()
            out[~across] = -1
            return out
        out = np.roll(ids[step], group + 1, axis=0)
        out[:group + 1] = np.where(across[:group + 1, None], old[L - group - 1:], -1)
        return out

    def scores(self, step):
        """Before the step is learned. The first layer is asked for at the end of the step before, whosever that was."""
        E, width = self.trace.experts, float(self.trace.top_k)
        across = np.full(self.trace.layers, bool(self.trace.same[step]))
        across[0] = step > 0
        often = (self.used + width / E) / (self.events + 1.0)[:, None]
        rarity, score = 1.0 / often, np.log(often)
        for g in range(self.groups):
            found = self.witnesses(step, g, across)
            count = (found >= 0).sum(1)
            weight = self.weight * np.where(count > width, width / np.maximum(count, 1), 1.0)
            for start in range(0, count.max(), self.FOLD):
                product = np.ones_like(score)
                for i in range(start, min(start + self.FOLD, count.max())):
                    there, e = found[:, i] >= 0, np.maximum(found[:, i], 0)
                    share = 1.0 / (self.seen[g, self.layer, e] + self.prior)
                    ratio = (self.pairs[g, self.layer, e] * rarity + self.prior) * share[:, None]
                    product = np.where(there[:, None], product * ratio, product)
                score += weight[:, None] * np.log(product)
        return np.rint(score * 2.0**30) / 2.0**30

    def confidences(self, score, step):
        """And keeps score of them: layer by layer, what was told of a layer is known to be right or wrong before the next is asked for."""
        chance = np.exp(score - score.max(1, keepdims=True))
        chance = np.minimum(chance * self.trace.top_k / chance.sum(1, keepdims=True), 1.0)
        bins = np.minimum(((chance + 1e-9) * self.BINS).astype(int), self.BINS - 1)
        sure = np.empty_like(chance)
        for layer in range(len(chance)):
            b = bins[layer]
            sure[layer] = (self.came[b] + self.prior * chance[layer]) / (self.told[b] + self.prior)
            if step > 0 or layer > 0:
                self.told += np.bincount(b, minlength=self.BINS)
                self.came += np.bincount(b, self.trace.used[step, layer], self.BINS)
        return sure

    def learn(self, step):
        now, used = self.trace.ids[step], self.trace.used[step]
        across = np.full(self.trace.layers, bool(self.trace.same[step]))
        for g in range(self.groups):
            found = self.witnesses(step, g, across)
            for i in range(found.shape[1]):
                layer = self.layer[found[:, i] >= 0]
                e = found[layer, i]
                self.pairs[g, layer, e] += used[layer]
                self.seen[g, layer, e] += 1
        self.used += used
        self.events += (now[:, 0] >= 0)

    def next(self, step):
        score = self.scores(step)
        sure = self.confidences(score, step)
        self.learn(step)
        return score, sure


def previous(trace, step):
    """The token before: its experts in order, and nothing else (score -inf)."""
    score = np.full((trace.layers, trace.experts), -np.inf)
    for place in range(trace.ids.shape[2] - 1, -1, -1):
        e = trace.ids[step - 1, :, place]
        layer = np.flatnonzero(e >= 0)
        score[layer, e[layer]] = -place
    return score, np.where(np.isfinite(score), 1.0, np.nan)


def ranked(score):
    """Experts by falling score, equals by ascending id."""
    return np.argsort(-score, axis=-1, kind='stable')
