"""switch-base-8: comparison.json and both ablations, three exclusive tiers, through configs/engines/stratamoe.json.

The tool gives integers; rates, stall and tokens/s are derived here from them as the traces' README defines them, in decimals
rounded half up. The detector of shifts belongs to the policy shift_cache and counts the same whoever decides, so what is published
beside lru and lfu is compared with its count. The scores of the shifts are no output of the tool; their tokens are found by runs over
the first tokens of the trace.
"""
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

FOLDER = 'switch-base-8-encoder'
CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'configs', 'engines', 'stratamoe.json')
CONTROLS = {
    'shiftCacheJsdReweighting': 'jsd_reweighting', 'shiftCacheTransitionRetention': 'transition_retention',
    'shiftCachePersistentDetector': 'persistent_detector', 'shiftCacheTriggeredReweighting': 'triggered_reweighting',
}
NOT_OURS = {'semanticRoutingChanges'}


def rounded(value, places=8):
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def decimals(path):
    return json.load(open(path), parse_float=Decimal, parse_int=Decimal)


def tokens_of():
    """[token] -> its keys (layer, expert) in order."""
    tokens = {}
    with gzip.open(tool.trace(FOLDER), 'rt', newline='') as f:
        for row in csv.DictReader(f):
            tokens.setdefault(int(row['token_index']), []).append((int(row['layer']), int(row['e0'])))
    return [tokens[i] for i in sorted(tokens)]


def diagnostics(tokens, c):
    """What the trace alone says."""
    accesses = sum(len(t) for t in tokens)
    best = 0
    for i in range(0, len(tokens), 16):
        counts = Counter(key for token in tokens[i:i + 16] for key in token)
        best += sum(n for _, n in counts.most_common(int(c['gpuSlots'])))
    again = sum(key in before for before, token in zip(tokens, tokens[1:]) for key in token)
    return {'totalExpertSelections': accesses, 'uniqueExperts': len({key for token in tokens for key in token}), 'segmentTokens': 16,
            'immediateReuseRate': rounded(Decimal(again) / (int(c['layers']) * (len(tokens) - 1))),
            'segmentOracleHitRate': rounded(Decimal(best) / accesses)}


def run(policy, predictor, c, log, trace=None):
    sets = ['trace.path=' + (trace or tool.trace(FOLDER)), 'tiers.gpu.capacity=%dslots' % c['gpuSlots'], 'tiers.ram.capacity=%dslots' % c['ramSlots'],
            'model.expert_bytes=%dMB' % c['expertSizeMB'], 'bounds=false', 'policy=' + json.dumps(policy),
            'observers=' + json.dumps(['summary', 'audit', {'name': 'events', 'path': log}])]
    if predictor:
        sets.append('predictor=' + predictor)
    args = [tool.TOOL, 'run', CONFIG, '--json']
    for s in sets:
        args += ['--set', s]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def metrics(result, c):
    """The published figures of one run, from its integers."""
    cache, tiers, size, tokens = result['cache'], result['tiers'], int(c['expertSizeMB']) * 10**6, c['tokens']
    accesses, hits, ram, nvme = (Decimal(n) for n in (cache['lookups'], cache['hits'], tiers['ram']['found'], tiers['nvme']['found']))
    demand, prefetch, read = (Decimal(n) for n in (cache['fetched_bytes'], cache['guess_bytes'], size * (tiers['nvme']['found'] + tiers['nvme']['guessed'])))
    stall = (demand + prefetch) / (c['pcieGBps'] * 10**6) + read / (c['nvmeGBps'] * 10**6)
    issued, useful, wasted = cache['guess_copies'], cache['hits_prefetched'], cache['wasted']
    return {
        'gpuHitRate': rounded(hits / accesses), 'ramHitRate': rounded(ram / accesses), 'nvmeMissRate': rounded(nvme / accesses),
        'bytesPerToken': rounded((demand + prefetch + read) / tokens, 2), 'transferStallMsPerToken': rounded(stall / tokens),
        'tokensPerSecond': rounded(1000 / (c['computeMsPerToken'] + stall / tokens)),
        'evictions': tiers['gpu']['evictions'] + tiers['ram']['evictions'], 'gpuEvictions': tiers['gpu']['evictions'], 'ramEvictions': tiers['ram']['evictions'],
        'prefetchUsefulness': rounded(Decimal(useful) / issued) if issued else Decimal(0),
        'totalAccesses': accesses, 'gpuHits': hits, 'ramHits': ram, 'nvmeMisses': nvme,
        'totalBytesTransferred': demand + prefetch + read, 'demandBytesTransferred': demand, 'prefetchBytesTransferred': prefetch, 'nvmeBytesRead': read,
        'totalTransferStallMs': rounded(stall), 'prefetchesIssued': issued, 'prefetchesUseful': useful, 'prefetchesWasted': wasted,
        'prefetchesPending': issued - useful - wasted,
    }


def bytes_per_token(log):
    """Bytes over both links, by token."""
    moved = []
    with open(log, newline='') as f:
        for row in csv.DictReader(f):
            if row['kind'] == 'step':
                moved.append(0)
            elif row['kind'] in ('start', 'start_guess'):
                moved[-1] += int(row['bytes'])
    return moved


def after_boundaries(moved, want):
    windows = [{'boundaryToken': w['boundaryToken'], 'group': w['group'], 'endExclusive': w['boundaryToken'] + 32, 'observedTokens': 32,
                'totalModeledLinkBytes': sum(moved[int(w['boundaryToken']):int(w['boundaryToken']) + 32])} for w in want['windows']]
    total = Decimal(sum(w['totalModeledLinkBytes'] for w in windows))
    for w in windows:
        w['modeledLinkBytesPerToken'] = rounded(Decimal(w['totalModeledLinkBytes']) / 32, 2)
    return {'windowTokens': 32, 'windows': windows, 'aggregate': {'observedTokens': 32 * len(windows), 'totalModeledLinkBytes': total,
            'modeledLinkBytesPerToken': rounded(total / (32 * len(windows)), 2)}}


class Runs:
    """Each run once: its figures and its bytes by token."""

    def __init__(self, config, folder):
        self.config, self.log, self.done = config, os.path.join(folder, 'events.csv'), {}

    def get(self, policy, controls=None):
        key = json.dumps([policy, controls and sorted(controls.items())])
        if key not in self.done:
            predictor = 'shift_transition' if controls and controls['shiftCachePrefetch'] else None
            if controls:
                # 5 % of the trace, within 4 and 12
                window = min(12, max(4, int(self.config['tokens'] * Decimal('0.05') + Decimal('0.5'))))
                policy = dict({'name': 'shift_cache', 'window': window}, **{ours: controls[theirs] for theirs, ours in CONTROLS.items()})
            result = run(policy, predictor, self.config, self.log)
            figures = metrics(result, self.config)
            if controls:
                figures['detectedShifts'] = result['policy']['detected_shifts']
            self.done[key] = figures, bytes_per_token(self.log)
        return self.done[key]

    def shifts(self, controls):
        return self.get('shift-cache', controls)[0]['detectedShifts']


def compare(check, name, got, want):
    for key, value in want.items():
        if key not in NOT_OURS:
            check.equal('%s %s' % (name, key), got.get(key), value)


def change(x, reference):
    return rounded((Decimal(x) / reference - 1) * 100)


def comparison(check, runs, oracle):
    file = decimals(tool.trace(FOLDER, 'comparison.json'))
    compare(check, 'trace', oracle, file['traceDiagnostics'])
    on = {'shiftCachePrefetch': True, **{k: k in ('shiftCacheJsdReweighting', 'shiftCacheTransitionRetention') for k in CONTROLS}}
    total = {}
    for row in file['results']:
        got = runs.get('shift-cache', on)[0] if row['policy'] == 'shift-cache' else runs.get(row['policy'])[0]
        compare(check, 'comparison ' + row['policy'], dict(got, detectedShifts=runs.shifts(on), segmentOracleHitRate=oracle['segmentOracleHitRate']), row['metrics'])
        total[row['policy']] = got['totalBytesTransferred']
    check.equal('comparison winner', min(total, key=total.get), file['winnerByModeledBytes'])


def prefetch_ablation(check, runs, oracle):
    file = decimals(tool.trace(FOLDER, 'prefetch-ablation.json'))
    got = {}
    for row in file['variants']:
        got[row['id']] = dict(runs.get('shift-cache', row['controls'])[0], segmentOracleHitRate=oracle['segmentOracleHitRate'])
        compare(check, row['id'], got[row['id']], row['metrics'])
    for key, want in file['effectOfDisablingPrefetch'].items():
        on, off = got['prefetch-on'][key], got['prefetch-off'][key]
        check.equal('effect on ' + key, {'absoluteChange': rounded(off - on), 'percentChange': change(off, on)}, want)
    check.equal('prefetch winner', min(got, key=lambda k: got[k]['totalBytesTransferred']), file['winnerByModeledBytes'])


def retention_ablation(check, runs, oracle):
    file = decimals(tool.trace(FOLDER, 'retention-ablation.json'))
    rows = {row['id']: row for row in file['variants']}
    whole, after, plain = {}, {}, rows['fixed-frequency-recency']['controls']
    for name, row in list(rows.items()) + [('lfu', file['lfuReference'])]:
        figures, moved = runs.get('lfu') if name == 'lfu' else runs.get('shift-cache', row['controls'])
        compare(check, name, dict(figures, detectedShifts=runs.shifts(row.get('controls', plain)), segmentOracleHitRate=oracle['segmentOracleHitRate']), row['metrics'])
        check.equal(name + ' bytes of all tokens', sum(moved), figures['totalBytesTransferred'])
        windows = after_boundaries(moved, row['postBoundary'])
        check.equal(name + ' post boundary', windows, row['postBoundary'])
        whole[name], after[name] = figures['totalBytesTransferred'], windows['aggregate']['totalModeledLinkBytes']
    for name, row in rows.items():
        for versus, reference in (('versusFixedFrequencyRecency', 'fixed-frequency-recency'), ('versusLfu', 'lfu')):
            check.equal('%s %s' % (name, versus), {'wholeRunModeledLinkBytesPercentChange': change(whole[name], whole[reference]),
                        'postBoundaryModeledLinkBytesPercentChange': change(after[name], after[reference])}, row[versus])
    check.equal('best whole', min(rows, key=whole.get), file['bestVariantByWholeRunModeledLinkBytes'])
    check.equal('best after boundaries', min(rows, key=after.get), file['bestVariantByPostBoundaryModeledLinkBytes'])


def shift_events(check, config, folder):
    """A shift of token t is counted in the first t + 1 tokens and not in the first t."""
    events = [[e['token'] for e in row['detectedShiftEvents']] for row in decimals(tool.trace(FOLDER, 'retention-ablation.json'))['variants']]
    check.equal('shifts are the same in all variants', len(events) > 1 and events.count(events[0]) == len(events), True)
    with gzip.open(tool.trace(FOLDER), 'rt', newline='') as f:
        head, *rows = f.read().splitlines()
    path = os.path.join(folder, 'first.csv')
    for i, token in enumerate(int(t) for t in events[0]):
        for tokens, want in ((token, i), (token + 1, i + 1)):
            with open(path, 'w') as f:
                f.write('\n'.join([head] + [row for row in rows if int(row.split(',')[1]) < tokens]) + '\n')
            result = run({'name': 'shift_cache', 'window': 11}, None, config, os.path.join(folder, 'events.csv'), path)
            check.equal('shifts in the first %d tokens' % tokens, result['policy']['detected_shifts'], want)


def main():
    tool.need_traces()
    check = tool.Check('switch')
    config = decimals(tool.trace(FOLDER, 'comparison.json'))['config']
    oracle = diagnostics(tokens_of(), config)
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(config, folder)
        comparison(check, runs, oracle)
        prefetch_ablation(check, runs, oracle)
        retention_ablation(check, runs, oracle)
        shift_events(check, config, folder)
    check.close()


if __name__ == '__main__':
    main()
