"""The scripts of models/predictors: how requests are split, what is counted, that the tables of README.md are what they print, and, where
PyTorch is installed, that a network of a few numbers is trained, written, and read by the tool."""
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
PREDICTORS = os.path.join(ROOT, 'models', 'predictors')
sys.path[:0] = [os.path.join(HERE, '..', 'support'), PREDICTORS]
import tool

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print('SKIP: the scripts of models/predictors need numpy and h5py:', missing)
    sys.exit(77)
import contexts
import evaluate
import measure
import reference

SAMPLE, WEIGHTS = os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5'), os.path.join(PREDICTORS, 'quickstart.h5')


class Requests:
    """As much of a trace as a split looks at."""

    def __init__(self, requests, steps):
        self.request = np.repeat(np.arange(requests), steps)
        self.decode = np.arange(requests * steps) % steps > 0


def split(check):
    for requests in (3, 4, 10, 64):
        trace = Requests(requests, 5)
        parts = contexts.split(trace, 1)
        held, wanted = [set(trace.request[part].tolist()) for part in parts], [requests - max(1, round(.15 * requests)) - max(1, round(.2 * requests)),
                                                                               max(1, round(.15 * requests)), max(1, round(.2 * requests))]
        check.equal('%d requests: how many in each part' % requests, [len(part) for part in held], wanted)
        check.equal('%d requests: each is in one part, whole' % requests, (len(held[0] | held[1] | held[2]), sum(part.sum() for part in parts)), (requests, requests * 4))
        check.equal('%d requests: no prompt step' % requests, any((part & ~trace.decode).any() for part in parts), False)
        check.equal('%d requests: the same again' % requests, [part.tolist() for part in contexts.split(trace, 1)], [part.tolist() for part in parts])
    try:
        contexts.split(Requests(2, 5), 1)
        check.equal('two requests', 'split', 'refused')
    except SystemExit as said:
        check.equal('two requests', str(said), 'the trace has 2 requests; to train, to calibrate and to test needs 3 at least')


def counting(check):
    """Two layers of four experts, two wanted each: found at ranks 0 and 2, and at 1 and 3."""
    tally = measure.Tally('by hand', 4)
    score = np.array([[4., 3., 2., 1.], [4., 3., 2., 1.]])
    sure = np.array([[.95, .65, .35, .05], [.95, .65, .35, .05]])
    used = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    tally.add(score, sure, np.array([[2, 0], [1, 3]]), used)
    check.equal('top-n', [tally.share(tally.top, n, tally.wanted) for n in (1, 2, 3, 4)], [.25, .5, .75, 1])
    check.equal('first expert, top-n', [tally.share(tally.first, n, tally.cases) for n in (1, 2, 3, 4)], [0, .5, 1, 1])
    check.equal('all in n', [tally.share(tally.all, n, tally.cases) for n in (1, 2, 3, 4)], [0, 0, .5, 1])
    check.equal('calibration error, all', round(tally.calibration_error('all experts'), 12), .3)        # (.45 + .15 + .15 + .45) / 4
    check.equal('calibration error, first k', round(tally.calibration_error('first k guesses'), 12), .3)     # (.45 + .15) / 2
    silent = np.full((2, 4), -np.inf)
    tally.add(silent, silent, np.array([[2, 0], [1, 3]]), used)
    check.equal('what names nothing finds nothing', tally.top[:4].sum(), 4)


def calibration(check):
    """Scores whose chances are known: the knots rise, and their chances are near them."""
    rng = np.random.default_rng(1)
    score = rng.normal(size=(4000, 10))
    chance = 1 / (1 + np.exp(-score))
    knots = measure.calibrate(score, rng.random(score.shape) < chance)
    check.equal('knots', knots.shape, (measure.KNOTS, 2))
    check.equal('knots rise', bool((np.diff(knots[:, 0]) > 0).all() and (np.diff(knots[:, 1]) >= 0).all()), True)
    check.equal('chances within 0.03', bool(np.abs(knots[:, 1] - 1 / (1 + np.exp(-knots[:, 0]))).max() < .03), True)


def tables(check):
    """What stands in README.md for the sample is what evaluate.py prints."""
    trace = contexts.Trace(SAMPLE)
    model, about = evaluate.read(WEIGHTS, trace)
    tallies, _ = evaluate.evaluate(trace, reference.Learned(model, trace), int(about['ahead']), int(about['seed']))
    with open(os.path.join(PREDICTORS, 'README.md')) as file:
        blocks = file.read().split('<!-- begin: ')
    check.equal('generated tables', [block.split(' -->')[0] for block in blocks[1:]],
                ['evaluate.py trace.h5 weights.h5 --seeds', 'evaluate.py traces/samples/quickstart.h5 models/predictors/quickstart.h5'])
    block = blocks[2].split(' -->\n', 1)[1].split('<!-- end -->')[0].strip()
    check.equal('the table of the sample', [line for line in block.split('\n') if line.startswith('|')], measure.table(list(tallies.values()), trace.top_k).split('\n'))
    rows = [line.split(' | ') for line in blocks[1].split('\n') if line.startswith('| ') and line.count(' | ') > 3]
    check.equal('what other designs say', {row[0][2:]: row[-1].rstrip(' |') for row in rows[1:] if row[-1].rstrip(' |')}, measure.SEEDS)


def training(check):
    """A few steps with two hidden units: the file is what the tool reads, and it has learned something."""
    try:
        import torch
    except ImportError as missing:
        print('predictors: training is skipped, PyTorch is not installed (%s)' % missing)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'tiny.h5')
        said = tool.command([sys.executable, os.path.join(PREDICTORS, 'train.py'), SAMPLE, '-o', out, '--hidden', '2', '--context', '1', '--ahead', '1', '--epochs', '2'])
        losses = [float(line.split()[-1]) for line in said.split('\n') if line.startswith('epoch ')]
        check.equal('the loss falls over %s' % losses, len(losses) == 2 and losses[1] < losses[0], True)
        check.equal('figures are printed', '| all-4 in 30 |' in said, True)
        with h5py.File(out, 'r') as f:
            check.equal('shape', [int(f.attrs[name]) for name in ('context', 'ahead', 'hidden')], [1, 1, 2])
        result = tool.command([tool.TOOL, 'run', os.path.join(ROOT, 'configs', 'quickstart.json'), '--json', '--quiet', '--set', 'bounds=false',
                               '--set', 'predictor={"name":"learned","weights":"%s"}' % out])
        check.equal('the tool fetches its guesses', '"guess_copies": 0' not in result and '"guess_copies":0' not in result, True)


def main():
    check = tool.Check('predictors')
    for part in (split, counting, calibration, tables, training):
        part(check)
    check.close()


if __name__ == '__main__':
    main()
