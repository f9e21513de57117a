"""What write-back costs on recorded routing: a cache whose residents leave by a copy down, over links whose directions differ.

Without arguments: asserts which is ahead and by how much more where down is slow, and that the table of configs/seeds/README.md is what
--table prints.

never: what leaves is dropped, as in inference; in training its changes are lost. always: it is copied down, as a store without a dirty bit
does. dirty: only what was updated is. host: gradients go down and new weights come up, so that no copy on the device is the only new one.
"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'support')]
import real_coverage
import tool

ROOT = os.path.abspath(os.path.join(HERE, '..', '..'))
CONFIG = os.path.join(ROOT, 'configs', 'seeds', 'real-written.json')

# name: profile, flows up and down
MACHINES = {
    'GH200, 411 GB/s up, 170 down': ('nvlink-c2c-gh200', 'c2c.h2d', 'c2c.d2h'),
    'GH200 if both were 411': ('nvlink-c2c-gh200', 'c2c.h2d', 'c2c.h2d'),
    'GB300, 211 up, 193 down': ('nvlink-c2c-gb300', 'c2c.h2d', 'c2c.d2h'),
    'PCIe 5.0, 51 both': ('pcie5-x16', 'pcie.h2d', 'pcie.d2h'),
}


RULES = ('never', 'always')
TRAINING = {'never': [], 'always': [], 'dirty': [], 'host': ['training.update=host']}


class Writer(real_coverage.Model):
    def on(self, machine, rule, sets=()):
        profile, up, down = MACHINES[machine]
        with tempfile.NamedTemporaryFile('w', suffix='.json', delete=False) as f:
            json.dump({'include': [CONFIG, os.path.join(ROOT, 'models', 'profiles', profile + '.json')],
                       'channels': {'up': {'profile': up}, 'down': {'profile': down}}}, f)
        try:
            return self.run(f.name[:-len('.json')], ['tiers.cache.write_back=' + rule] + list(sets))
        finally:
            os.unlink(f.name)


def step(result):
    """Mean time of a training step; all of them train, prompts too."""
    return result['time']['total_s'] / result['training']['steps']


def latency(result):
    return result['time']['token_latency_s']['mean']


def cell(never, always):
    return '%.2f ms, %.2f ms: %.2f' % (latency(never) * 1e3, latency(always) * 1e3, latency(always) / latency(never))


def measured():
    """machine, trace -> the runs of both rules, and of training steps under each."""
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        for trace in real_coverage.TRACES:
            model = Writer(trace, folder)
            for machine in MACHINES:
                out[machine, trace] = {rule: model.on(machine, rule) for rule in RULES}
                for rule, sets in TRAINING.items():
                    out[machine, trace]['train', rule] = model.on(machine, 'never' if sets else rule, ['training.steps=all'] + sets)
    return out


def rows(runs, cell):
    yield '|  | ' + ' | '.join(real_coverage.TRACES) + ' |'
    yield '|---' * (1 + len(real_coverage.TRACES)) + '|'
    for machine in MACHINES:
        yield '| %s | ' % machine + ' | '.join(cell(runs[machine, trace]) for trace in real_coverage.TRACES) + ' |'


def table(runs):
    yield from rows(runs, lambda of: cell(*(of[rule] for rule in RULES)))
    yield ''
    yield from rows(runs, lambda of: ', '.join('%.2f' % (step(of['train', rule]) * 1e3) for rule in TRAINING) + ' ms')


def check_training(check, what, of):
    """Nearly all that leaves was updated, so a dirty bit saves little; what the host updates is sent down and up at every use."""
    for rule in ('always', 'dirty'):
        check.equal(what + 'training, %s: as often updated' % rule, of[rule]['training']['updates'], of['never']['training']['updates'])
    down = {rule: one['links']['cache-host']['operations'] for rule, one in of.items()}
    check.equal(what + 'training: what goes down', down['never'] == 0 and 0 < down['dirty'] <= down['always'] < down['host'], True)
    check.equal(what + 'training: gradients', down['host'], of['host']['training']['gradients_down'])
    check.equal(what + 'training: which costs', step(of['never']) < step(of['dirty']) <= step(of['always']), True)


def check_runs(check, runs):
    for (machine, trace), of in runs.items():
        what = '%s, %s: ' % (trace, machine)
        never, always = of['never'], of['always']
        check.equal(what + 'the rule moves no hit', never['cache']['hits'], always['cache']['hits'])
        check.equal(what + 'nothing goes down', never['cache']['writeback_bytes'], 0)
        down = always['links']['cache-host']
        check.equal(what + 'every eviction goes down', (down['operations'], down['bytes']), (always['cache']['evictions'], always['cache']['writeback_bytes']))
        check.equal(what + 'which costs', latency(always) > latency(never), True)
        check_training(check, what, {rule: of['train', rule] for rule in TRAINING})
    for trace in real_coverage.TRACES:
        one, other = ([latency(runs[machine, trace][rule]) for rule in RULES] for machine in list(MACHINES)[:2])
        check.equal(trace + ': without write-back the way down does not matter', one[0], other[0])
        check.equal(trace + ': with it a slow one does', one[1] > 1.1 * other[1], True)


def main():
    tool.need_traces()
    runs = measured()
    if sys.argv[1:] == ['--table']:
        return print('\n'.join(table(runs)))
    check = tool.Check('real_write_back')
    check_runs(check, runs)
    with open(os.path.join(ROOT, 'configs', 'seeds', 'README.md')) as f:
        written = f.read().split('\n')
    check.equal('configs/seeds/README.md', [line for line in table(runs) if line not in written], [])
    check.close()


if __name__ == '__main__':
    main()
