"""Seeds 001 and 002 on recorded routing: levels filled by confident guesses, and guesses given up first, beside plain LRU.

Without arguments: asserts which is ahead on the two short traces, and exact counts where nothing is drawn. With --table: prints the table of
configs/seeds/README.md, which takes a few minutes.

Equal slots: the levels together and the plain cache hold the same number. Equal distinct residents: the plain cache holds as many as the
levels do without counting an expert twice, averaged over steps, by the event log.
"""
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import tool

SEEDS = os.path.join(HERE, '..', '..', 'configs', 'seeds')
REPLICATIONS = 3

# name: folder, bytes of an expert, experts per layer, experts that a token uses
TRACES = {
    'gpt-oss-20b': ('gpt-oss-20b-decode', 13219200, 32, 4),
    'qwen3-30b': ('bigmoeonedge-qwen3-30b-k6', 2764800, 128, 6),
    'gpt-oss-120b': ('bigmoeonedge-gpt-oss-120b-k2', 13219200, 128, 2),
}
SHORT = ['qwen3-30b', 'gpt-oss-120b']


def part(name, **options):
    return json.dumps(dict(options, name=name))


def predictor(kind, experts, top_k):
    """The seed's guesses; those measured of its model, whose laws end at the last of a layer; and predictors that engines may have."""
    calibrated = {'placement': 'calibrated', 'point': 'after_gate'}
    if experts < 60:
        calibrated.update(first_ranks=[1, 5, 10, 15, 20, experts], first_shares=[.4755, .7385, .8743, .9387, .9702, 1],
                          other_ranks=[5, 10, 15, 20, 30, experts], other_shares=[.6753, .7045, .7174, .7383, .8033, 1])
    return {'none': part('none'), 'unrelated': part('ranked', point='after_gate'), 'calibrated': part('ranked', **calibrated),
            'previous_token': part('previous_token'), 'transition': part('transition'),
            'noisy_oracle': part('noisy_oracle', accuracy=.4755, extra=top_k)}[kind]


# nothing is drawn in these: layers with all experts there, layers, hits in decode
EXACT = {
    ('qwen3-30b', 'lru'): (2538, 6144, 30486), ('gpt-oss-120b', 'lru'): (1437, 2304, 3544),
    ('qwen3-30b', 'as_coded'): (438, 6144, 21124), ('gpt-oss-120b', 'as_coded'): (483, 2304, 1883),
    ('qwen3-30b', 'as_documented'): (1147, 6144, 25543), ('gpt-oss-120b', 'as_documented'): (479, 2304, 1858),
}
DRAWN = {'unrelated', 'calibrated', 'noisy_oracle'}
GUESSES = [(kind, cost) for kind in ('calibrated', 'noisy_oracle', 'transition') for cost in ('free', 'link')]
DEMOTE = ['tiers.l1.demote=l2', 'tiers.l2.demote=l3']
ADAPTIVE = ['tuner=' + part('adaptive', interval='100ms')]
PRESSURE = ['tuner=' + part('pressure', interval='20ms')]      # between 1 and 16 guesses, from as many as a token uses


FIRST_REQUESTS = 8      # of gpt-oss-20b's 64, where a study has many runs


class Model:
    """A trace, whole; or its first requests, written into `folder`."""
    def __init__(self, name, folder=None):
        place, self.bytes, self.experts, self.top_k = TRACES[name]
        self.path = tool.trace(place)
        if folder and name == 'gpt-oss-20b':
            self.path = os.path.join(folder, name + '.csv')
            with gzip.open(tool.trace(place), 'rt') as whole, open(self.path, 'w') as cut:
                cut.write(next(whole))
                cut.writelines(line for line in whole if int(line.split(',', 1)[0]) < FIRST_REQUESTS)

    def run(self, config, sets):
        sets = ['trace.path=' + self.path, 'model.expert_bytes=%dB' % self.bytes] + sets
        args = [tool.TOOL, 'run', os.path.join(SEEDS, config + '.json'), '--json', '--quiet']
        return json.loads(tool.command(args + [word for one in sets for word in ('--set', one)]))

    def guessed(self, config, kind, cost, sets=()):
        """One run per replication, one alone where nothing is drawn."""
        sets = ['predictor=' + predictor(kind, self.experts, self.top_k), 'compute.guess_cost=' + cost] + list(sets)
        return [self.run(config, sets + ['seed=%d' % seed]) for seed in range(1, 1 + (REPLICATIONS if kind in DRAWN else 1))]

    def levels(self, kind, cost, mode, sets=()):
        return self.guessed('real-coverage', kind, cost, ['policy.mode=' + mode] + list(sets))

    def plain(self, kind='none', cost='link', sets=()):
        """LRU takes what it is told, so of a list only as many as a token uses."""
        return self.guessed('real-plain', kind, cost, ['compute.guess_top=%d' % self.top_k] + list(sets))


def distinct(path):
    """Mean over steps of how many different experts are in any level."""
    held, sums, steps = {}, 0, 0
    with open(path) as log:
        for row in csv.DictReader(log):
            expert = (row['layer'], row['expert'])
            if row['kind'] == 'land':
                held.setdefault(expert, set()).add(row['to'])
            elif row['kind'] in ('evict', 'leave_low') and expert in held:
                held[expert].discard(row['from'])
                if not held[expert]:
                    del held[expert]
            elif row['kind'] == 'step_end':
                sums, steps = sums + len(held), steps + 1
    return round(sums / steps)


def distinct_of(model, kind, cost, mode, folder):
    log = os.path.join(folder, 'events.csv')
    model.run('real-coverage', ['policy.mode=' + mode, 'predictor=' + predictor(kind, model.experts, model.top_k), 'compute.guess_cost=' + cost,
                                'observers=["summary",%s]' % part('events', path=log, limit=10**9)])
    count = distinct(log)
    os.unlink(log)
    return count


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def perfect(runs):
    return mean(run['coverage']['perfect'] / run['coverage']['events'] for run in runs)


def latency(runs):
    return mean(run['time']['token_latency_s']['mean'] for run in runs)


def experiments(model, folder):
    """What stands in a row, and how it is run."""
    yield 'LRU, as many slots', model.plain()
    for mode, kind in (('as_coded', 'calibrated'), ('as_documented', 'calibrated')):
        count = distinct_of(model, kind, 'free', mode, folder)
        yield 'LRU, as many distinct as the levels hold, %s' % mode.replace('_', ' '), model.plain(sets=['tiers.cache.capacity=%dslots' % count])
    for kind, cost in (('unrelated', 'free'), ('calibrated', 'free'), ('calibrated', 'link'), ('transition', 'link')):
        yield 'as coded, %s, %s' % (kind, cost), model.levels(kind, cost, 'as_coded')
    yield 'as coded, calibrated, free, victims go a level down', model.levels('calibrated', 'free', 'as_coded', DEMOTE)
    for kind, cost in GUESSES + [('previous_token', 'link')]:
        yield 'as documented, %s, %s' % (kind, cost), model.levels(kind, cost, 'as_documented')
    yield 'as documented, calibrated, free, thresholds adaptive', model.levels('calibrated', 'free', 'as_documented', ADAPTIVE)
    for kind, cost in GUESSES:
        yield 'LRU, %s, %s' % (kind, cost), model.plain(kind, cost)
    for kind in ('noisy_oracle', 'transition'):
        yield 'LRU, %s, link, how many by pressure' % kind, model.plain(kind, 'link', PRESSURE)
    for key in ('layer_expert', 'expert'):
        sets = ['catalog.key=' + key]
        if key == 'expert':
            yield 'layers share a key: LRU', model.plain(sets=sets)
        for cost in ('serial', 'free'):
            yield '%s: unused guesses leave first, %s' % ('layers share a key' if key == 'expert' else 'a key per layer', cost), [
                model.run('real-prefetched', sets + ['compute.guess_cost=' + cost, 'seed=%d' % seed]) for seed in range(1, 1 + REPLICATIONS)]


def table():
    with tempfile.TemporaryDirectory() as folder:
        columns = [dict((name, (perfect(runs), latency(runs))) for name, runs in experiments(Model(trace), folder)) for trace in TRACES]
    print('|  | ' + ' | '.join(TRACES) + ' |')
    print('|---' * (1 + len(columns)) + '|')
    for name in columns[0]:
        print('| %s | ' % name + ' | '.join('%.1f %%, %.1f ms' % (column[name][0] * 100, column[name][1] * 1e3) for column in columns) + ' |')


def behind(check, name, runs, lru):
    """In every run fewer layers have all their experts, and tokens take longer."""
    check.equal('%s: perfect %.4f is below %.4f' % (name, perfect(runs), perfect(lru)),
                max(perfect([run]) for run in runs) < min(perfect([run]) for run in lru), True)
    check.equal('%s: %.6f s is above %.6f' % (name, latency(runs), latency(lru)),
                min(latency([run]) for run in runs) > max(latency([run]) for run in lru), True)


def check_model(check, trace, folder):
    model = Model(trace)
    lru = model.plain()
    fewer = model.plain(sets=['tiers.cache.capacity=%dslots' % distinct_of(model, 'calibrated', 'free', 'as_coded', folder)])
    for kind in ('unrelated', 'calibrated', 'noisy_oracle', 'previous_token', 'transition'):
        for cost in ('free', 'link'):
            runs = model.levels(kind, cost, 'as_coded')
            behind(check, '%s as coded %s %s' % (trace, kind, cost), runs, lru)
            if (kind, cost) == ('calibrated', 'free'):
                behind(check, '%s as coded, as many distinct' % trace, runs, fewer)
        behind(check, '%s as documented %s link' % (trace, kind), model.levels(kind, 'link', 'as_documented'), lru)
    same = model.plain('calibrated', 'free')
    behind(check, '%s as documented, calibrated, free, beside LRU with the same guesses' % trace, model.levels('calibrated', 'free', 'as_documented'), same)
    for key, sets in (('layer_expert', []), ('expert', ['catalog.key=expert'])):
        plain, first = model.plain(sets=sets), [model.run('real-prefetched', sets)]
        check.equal('%s, key %s: waiting for guesses takes over twice as long as no guesses' % (trace, key), latency(first) > 2 * latency(plain), True)
    counts = {'lru': lru, 'as_coded': model.levels('transition', 'link', 'as_coded'), 'as_documented': model.levels('transition', 'link', 'as_documented')}
    for name, runs in counts.items():
        check.equal('%s %s perfect, events, decode hits' % (trace, name),
                    (runs[0]['coverage']['perfect'], runs[0]['coverage']['events'], runs[0]['cache']['decode']['hits']), EXACT[trace, name])


def main():
    tool.need_traces()
    if sys.argv[1:] == ['--table']:
        return table()
    check = tool.Check('real_coverage')
    with tempfile.TemporaryDirectory() as folder:
        for trace in SHORT:
            check_model(check, trace, folder)
    check.close()


if __name__ == '__main__':
    main()
