#!/usr/bin/env python3
"""Measures a weights file on the requests that were held out when it was trained, beside what needs no training.

    evaluate.py TRACE.h5 WEIGHTS.h5 [--seeds] [--reliability]

Needs numpy and h5py, not PyTorch. The tables of README.md are its output. Which requests were held out follows from the seed in the file;
`--seeds` adds what two published designs report, `--reliability` confidence against what came, tenth by tenth.
"""
import argparse

import h5py
import numpy as np

import contexts
import measure
import reference


def popularity(trace, train_steps):
    often = (trace.used[train_steps].sum(0) + trace.top_k / trace.experts) / (len(train_steps) + 1.0)
    return np.log(often), often


def distance(d):
    return 'learned' if d == 1 else 'learned, %d ahead' % d


def evaluate(trace, learned, most_ahead, seed, keep=()):
    """One tally per predictor and, of the network, per distance; {step: transition's scores} of the steps in `keep`."""
    parts = contexts.split(trace, seed)
    tallies = {name: measure.Tally(name, trace.experts) for name in ['popularity', 'previous_token', 'transition'] + [distance(d) for d in range(1, most_ahead + 1)]}
    transition, usual, kept = reference.Transition(trace), popularity(trace, np.flatnonzero(parts[0])), {}
    held, keep = set(np.flatnonzero(parts[2] & trace.same).tolist()), set(np.asarray(keep, int).tolist())     # a request's first step is foreseen from another's last
    for s in range(trace.steps):
        told = transition.next(s)
        if s in keep:
            kept[s] = told
        if s not in held:
            continue
        rows = {'popularity': usual, 'previous_token': reference.previous(trace, s), 'transition': told}
        rows.update((distance(d), learned.scores(s, d)) for d in range(1, most_ahead + 1))
        for name, (score, sure) in rows.items():
            tallies[name].add(score, sure, trace.ids[s], trace.used[s])
    return tallies, kept


def read(path, trace):
    """The arrays of a weights file, and its attributes."""
    with h5py.File(path, 'r') as f:
        about = {name: value.decode() if isinstance(value, bytes) else value for name, value in f.attrs.items()}
        if about.get('format') != 'expertsim-predictor':
            raise SystemExit('%s: is no file that train.py wrote' % path)
        if about['trace_sha256'] != trace.sha256:
            raise SystemExit('%s: was trained on another trace, %s; this one is %s' % (path, about['trace_sha256'][:12], trace.sha256[:12]))
        return {key: f[name][:] for name, key in reference.ARRAYS}, about


def show(trace, tallies, seed, seeds=False):
    requests = [len(np.unique(trace.request[part])) for part in contexts.split(trace, seed)]
    print('%d requests: %d to train, %d to validate, %d held out; %d cases held out\n' % (sum(requests), *requests, tallies['transition'].cases))
    print(measure.table(list(tallies.values()), trace.top_k, seeds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('trace')
    parser.add_argument('weights')
    parser.add_argument('--seeds', action='store_true')
    parser.add_argument('--reliability', action='store_true')
    args = parser.parse_args()
    trace = contexts.Trace(args.trace)
    model, about = read(args.weights, trace)
    tallies, _ = evaluate(trace, reference.Learned(model, trace), int(about['ahead']), int(about['seed']))
    show(trace, tallies, int(about['seed']), args.seeds)
    for name in ('transition', 'learned') if args.reliability else ():
        print('\n%s, all experts\n\n%s' % (name, measure.reliability(tallies[name], 'all experts')))


if __name__ == '__main__':
    main()
