"""The parts that seed 004 is composed of give what the plain-Python reference of it gives, number for number, over random settings.

Streams: a generated trace lists the reference's draws, step for step.
"""
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'support'), os.path.join(HERE, '..', 'oracle')]
import seed004
import tool

CASES = 30


def settings(rng):
    """A benchmark or a training run of the reference, small enough for many."""
    train = rng.random() < .4
    a = {'n': rng.choice([8, 13, 64, 256, 2048]), 'steps': rng.randint(1, 300), 'seed': rng.randrange(1 << 32) % 4294967294,
         'sampler': rng.choice(['episode', 'markov']), 'episode_len': rng.choice([1, 3, 5, 20, 50]), 'p_stay': rng.choice([0., .5, .9, 1.]),
         'd': 128, 'h': 512, 'train': train}
    if train:
        a.update(envs=rng.choice([1, 7, a['n'], 3 * a['n']]), envs_per_batch=rng.choice([1, 2, 5]), batch=rng.choice([1, 6, 64]))
    else:
        a.update(per_step=rng.choice([1, 4, 9]))
    return a


def steps(a):
    return seed004.train_steps(a) if a['train'] else seed004.bench_steps(a)


def source(a):
    """The same as a source of this project."""
    common = {'name': 'environments', 'stream': 'mt19937', 'seed': a['seed'], 'experts': a['n'], 'steps': a['steps'], 'sampler': a['sampler'],
              'episode_length': a['episode_len'], 'stay': a['p_stay']}
    if a['train']:
        return dict(common, envs=a['envs'], envs_per_batch=a['envs_per_batch'], tokens=a['batch'], spread=1)
    return dict(common, tokens=a['per_step'], spread=8)


def generated(folder, options):
    """Experts of each step of the trace that the tool generates."""
    path = os.path.join(folder, 'trace.h5')
    args = [tool.TOOL, 'trace', 'generate', options['name'], '-o', path]
    for key, value in options.items():
        args += ['--set', '%s=%s' % (key, value)] if key != 'name' else []
    subprocess.run(args, check=True, capture_output=True, text=True)
    rows = tool.command([tool.TOOL, 'trace', 'export', path, '-o', '-']).splitlines()
    head = rows[0].split(',')
    step, expert = (head.index('step') if 'step' in head else head.index('token_index')), head.index('e0')
    out = {}
    for row in rows[1:]:
        cells = row.split(',')
        out.setdefault(int(cells[step]), []).append(int(cells[expert]))
    return [out[i] for i in sorted(out)]


def check_streams(check, rng):
    with tempfile.TemporaryDirectory() as folder:
        for case in range(CASES):
            a = settings(rng)
            check.equal('case %d: draws of %r' % (case, a), generated(folder, source(a)), [sorted(ids) for ids in steps(a)])


def main():
    check = tool.Check('out_of_core')
    check_streams(check, random.Random(4))
    check.close()


if __name__ == '__main__':
    main()
