"""What a predictor sees of a trace: reads a native trace (traces/FORMAT.md) and cuts it into steps, as the simulator does.

A step is one forward pass; what a layer uses in it is the union over its tokens, in order of first appearance. Memory of earlier
steps ends where the request of the step's first token changes. Experts of a union that is larger than top_k count top_k / size.
"""
import h5py
import numpy as np


class Trace:
    """ids[s][l][n]: union of step s in layer l, -1 behind its end; used[s][l][e]: the same as 0 and 1."""

    def __init__(self, path):
        with h5py.File(path, 'r') as f:
            if f.attrs.get('format') not in ('expertsim-trace', b'expertsim-trace'):
                raise SystemExit('%s: is no native trace; make one with: expertsim trace import %s -o trace.h5' % (path, path))
            if int(f.attrs['missing_cells']):
                raise SystemExit('%s: %d layers of tokens have no experts; a trace to learn from needs all' % (path, int(f.attrs['missing_cells'])))
            self.layers, self.experts, self.top_k = (int(f.attrs[n]) for n in ('layers', 'experts', 'top_k'))
            digest = f.attrs['sha256']
            self.sha256 = digest.decode() if isinstance(digest, bytes) else str(digest)
            self.synthetic = bool(f.attrs['synthetic'])
            rows, step = f['ids'][:].astype(np.int32), f['tokens/step'][:].astype(np.int64)
            request, position, phase = f['tokens/request'][:], f['tokens/position'][:].astype(np.int64), f['tokens/phase'][:]
        first = np.flatnonzero(np.r_[True, step[1:] != step[:-1]])
        last = np.r_[first[1:], len(step)] - 1
        self.steps = len(first)
        self.request, self.decode = request[first], phase[first] == 1
        self.position = position[last]          # of the step's last token
        self.same = np.r_[False, self.request[1:] == self.request[:-1]]
        self.unite(rows, first, last)

    def unite(self, rows, first, last):
        rows = np.where(rows < self.experts, rows, -1)
        unions = {s: [list(dict.fromkeys(int(i) for i in rows[a:b + 1, l].ravel() if i >= 0)) for l in range(self.layers)]
                  for s, (a, b) in enumerate(zip(first, last)) if a != b}
        width = max([self.top_k] + [len(u) for union in unions.values() for u in union])
        self.ids = np.full((self.steps, self.layers, width), -1, np.int32)
        self.ids[:, :, :self.top_k] = rows[first]
        for s, union in unions.items():
            for l, u in enumerate(union):
                self.ids[s, l, :len(u)] = u
        self.used = np.zeros((self.steps, self.layers, self.experts), np.uint8)
        s, l, n = np.nonzero(self.ids >= 0)
        self.used[s, l, self.ids[s, l, n]] = 1
        self.weight = np.minimum(1.0, self.top_k / np.maximum(self.used.sum(2), 1))

    def bucket(self, steps, buckets):
        """Of the token foreseen: positions 0, 1-2, 3-6, 7-14, ..."""
        position = self.position[steps] + 1
        return np.minimum(np.floor(np.log2(position)).astype(int), buckets - 1)

    def places(self, steps, context, ahead=1):
        """[steps][layers][context + 1][experts]: what is known `ahead` layers before each layer of these steps runs."""
        before = np.maximum(steps - 1, 0)
        now = self.used[steps] * self.weight[steps][:, :, None]
        old = self.used[before] * (self.weight[before] * self.same[steps][:, None])[:, :, None]
        out = np.zeros((len(steps), self.layers, context + 1, self.experts), np.float32)
        for back in range(ahead, context + 1):
            out[:, back:, back - 1] = now[:, :self.layers - back]
            out[:, :back, back - 1] = old[:, self.layers - back:]
        out[:, :, context] = old
        return out


def split(trace, seed):
    """Whole requests for training, validation and the final figures: 65, 15 and 20 %, at least one each. Masks over steps."""
    requests = np.unique(trace.request)
    if len(requests) < 3:
        raise SystemExit('the trace has %d requests; to train, to calibrate and to test needs 3 at least' % len(requests))
    requests = np.random.default_rng(seed).permutation(requests)
    held, check = (max(1, round(len(requests) * share)) for share in (0.20, 0.15))
    parts = requests[held + check:], requests[held:held + check], requests[:held]
    return [np.isin(trace.request, part) & trace.decode for part in parts]
