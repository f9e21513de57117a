#!/usr/bin/env python3
"""Trains the network of the predictor `learned` on a native trace, measures it on requests that it has not seen, and writes it to HDF5.

    train.py TRACE.h5 -o WEIGHTS.h5 [--context 3] [--ahead 3] [--hidden 16] [--epochs 10] [--seed 1] [--contexts N FILE.json]

Needs PyTorch, numpy and h5py; expertsim itself does not. The figures that it prints at the end are those of evaluate.py.
"""
import argparse
import json

import h5py
import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as loss_of

import contexts
import evaluate
import measure
import reference

BUCKETS, BATCH, RATE, COOLING, DECAY = 12, 64, 0.01, 0.8, 0.1


class Network(torch.nn.Module):
    """A hidden layer per MoE layer; the names of the arrays are those of the file."""

    def __init__(self, trace, context, ahead, hidden):
        super().__init__()
        L, E = trace.layers, trace.experts
        share = trace.top_k / E
        fresh = {'in': torch.randn(L, context + 1, E, hidden) * 0.1, 'threshold': torch.zeros(L, hidden), 'out': torch.randn(L, hidden, E) * 0.1,
                 'bias': torch.full((ahead, L, E), float(np.log(share / (1 - share)))), 'position': torch.zeros(L, BUCKETS, E), 'repeat': torch.zeros(L, E)}
        self.arrays = torch.nn.ParameterDict({name: torch.nn.Parameter(value) for name, value in fresh.items()})

    def forward(self, places, bucket, ahead):
        a = self.arrays
        layers = a['threshold'].shape[0]
        seen = torch.bmm(places.transpose(0, 1).reshape(layers, len(places), -1), a['in'].reshape(layers, -1, a['in'].shape[-1]))
        hidden = torch.relu(seen + a['threshold'][:, None])
        usual = a['bias'][ahead - 1][:, None] + a['position'][:, bucket] + a['repeat'][:, None] * places[:, :, -1].transpose(0, 1)
        return torch.bmm(hidden, a['out']) + usual      # [layers][batch][experts]


def batch_of(trace, steps, context, ahead):
    return (torch.from_numpy(trace.places(steps, context, ahead)), torch.from_numpy(trace.bucket(steps, BUCKETS)), ahead)


def scores_of(net, trace, steps, context, ahead):
    """[steps][layers][experts] in single precision."""
    with torch.no_grad():
        parts = [net(*batch_of(trace, steps[i:i + BATCH], context, ahead)) for i in range(0, len(steps), BATCH)]
    return torch.cat(parts, 1).transpose(0, 1).numpy()


def train(trace, train_steps, check_steps, args):
    """The network as it was after the epoch in which it did best on the validation requests."""
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    net, best, kept = Network(trace, args.context, args.ahead, args.hidden), np.inf, None
    plain = {'params': [net.arrays['repeat']], 'lr': 10 * RATE, 'weight_decay': 0.0}
    optimizer = torch.optim.AdamW([{'params': [value for name, value in net.arrays.items() if name != 'repeat']}, plain], lr=RATE, weight_decay=DECAY)
    cooling = torch.optim.lr_scheduler.ExponentialLR(optimizer, COOLING)
    wanted = torch.from_numpy(trace.used[check_steps].astype(np.float32))
    for epoch in range(args.epochs):
        order = rng.permutation(train_steps)
        for i in range(0, len(order), BATCH):
            steps = order[i:i + BATCH]
            ahead = max(1, int(rng.integers(0, args.ahead + 2)) - 1) if args.ahead > 1 else 1   # the next layer most often
            goal = torch.from_numpy(trace.used[steps].astype(np.float32)).transpose(0, 1)
            loss = loss_of(net(*batch_of(trace, steps, args.context, ahead)), goal)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        cooling.step()
        check = float(loss_of(torch.from_numpy(scores_of(net, trace, check_steps, args.context, 1)), wanted))
        print('epoch %d: loss on validation %.4f' % (epoch + 1, check), flush=True)
        if check < best:
            best, kept = check, {name: value.detach().numpy().copy() for name, value in net.arrays.items()}
    for name, value in net.arrays.items():
        value.data = torch.from_numpy(kept[name])
    return net, kept


def write(path, model, trace, args):
    with h5py.File(path, 'w', libver=('earliest', 'v108')) as f:
        f.attrs['format'], f.attrs['version'] = np.bytes_('expertsim-predictor'), 1
        f.attrs['layers'], f.attrs['experts'], f.attrs['top_k'] = trace.layers, trace.experts, trace.top_k
        f.attrs['context'], f.attrs['ahead'], f.attrs['hidden'], f.attrs['buckets'], f.attrs['knots'] = args.context, args.ahead, args.hidden, BUCKETS, measure.KNOTS
        f.attrs['trace_sha256'], f.attrs['seed'] = np.bytes_(trace.sha256), args.seed
        for name, key in reference.ARRAYS:
            f.create_dataset(name, data=model[key], track_times=False)


# ---- what the C parts must say, for tests ----

def expected_steps(trace, args):
    if not args.contexts:
        return np.array([], int)
    steps = np.flatnonzero(trace.decode & trace.same)
    return np.sort(np.random.default_rng(args.seed).choice(steps, min(len(steps), int(args.contexts[0])), replace=False))


def expected(score, sure):
    """The first guesses of a case and their confidence; None where two scores are too close to trust another's arithmetic."""
    order = reference.ranked(score)[:7]
    apart = -np.diff(score[order])
    if np.any((apart > 0) & (apart < 1e-8)):
        return None
    return {'experts': [int(e) for e in order[:6]], 'confidence': [round(float(sure[e]), 6) for e in order[:6]]}


def write_expected(trace, model, kept, args):
    learned, cases = reference.Learned(model, trace), []
    rng = np.random.default_rng(args.seed)
    for s in sorted(kept):
        layer, ahead = int(rng.integers(trace.layers)), int(rng.integers(1, args.ahead + 1))
        if layer < ahead and not trace.same[s]:
            continue
        rows = {'transition': (1, kept[s]), 'learned': (ahead, learned.scores(s, ahead))}
        for name, (distance, (score, sure)) in rows.items():
            told = expected(score[layer], sure[layer])
            if told:
                cases.append(dict({'predictor': name, 'step': int(s), 'layer': layer, 'ahead': distance}, **told))
    with open(args.contexts[1], 'w') as f:
        f.write('[\n' + ',\n'.join(json.dumps(case) for case in cases) + '\n]\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('trace')
    parser.add_argument('-o', '--out', required=True)
    for name, usual in (('context', 3), ('ahead', 3), ('hidden', 16), ('epochs', 10), ('seed', 1)):
        parser.add_argument('--' + name, type=int, default=usual)
    parser.add_argument('--contexts', nargs=2, metavar=('N', 'FILE'), help='write what the predictors must say in about N cases')
    args = parser.parse_args()
    torch.set_num_threads(1)
    trace = contexts.Trace(args.trace)
    args.context = min(args.context, trace.layers - 1)
    parts = contexts.split(trace, args.seed)
    train_steps, check_steps = np.flatnonzero(parts[0]), np.flatnonzero(parts[1] & trace.same)
    args.net, model = train(trace, train_steps, check_steps, args)
    model['calibration'] = np.array([measure.calibrate(scores_of(args.net, trace, check_steps, args.context, d), trace.used[check_steps]) for d in range(1, args.ahead + 1)])
    write(args.out, model, trace, args)
    tallies, kept = evaluate.evaluate(trace, reference.Learned(model, trace), args.ahead, args.seed, expected_steps(trace, args))
    if args.contexts:
        write_expected(trace, model, kept, args)
    evaluate.show(trace, tallies, args.seed)


if __name__ == '__main__':
    main()
