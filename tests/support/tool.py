"""Runs the tool from tests: a config as a dict, the result as a dict. Standard library only.

Environment: EXPERTSIM is the tool, EXPERTSIM_TRACES the folder of real traces (tests that need it are skipped where it is absent;
77 tells meson so).
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOOL = os.environ.get('EXPERTSIM', 'build/expertsim')
# the quickstart with routing that is drawn and not recorded: it does not say what an expert weighs, and how policies differ on it is known
DRAWN = ('trace={"source":{"name":"synthetic","layers":24,"experts":32,"top_k":4,"requests":4,"prompt_tokens":64,"decode_tokens":256,"sampler":"zipf_ar",'
         '"skew":[0.8],"reuse":0.6,"topics":4,"cross_layer":0.1,"seed":1}}')
TRACES = os.environ.get('EXPERTSIM_TRACES', '../shared/traces')


def need_traces():
    if not os.path.isdir(TRACES):
        print('SKIP: there are no real traces at', TRACES)
        sys.exit(77)


def trace(folder, name='trace.csv.gz'):
    return os.path.abspath(os.path.join(TRACES, folder, name))


def keys(value, before=''):
    """The path of every leaf, elements of a list alike."""
    if isinstance(value, list):
        for one in value:
            yield from keys(one, before)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from keys(one, before + '.' + key if before else key)
    else:
        yield before


def run(config, sets=()):
    """The result of one run. A config is written to a temporary file, so relative paths in it must not be used."""
    with tempfile.NamedTemporaryFile('w', suffix='.json', delete=False) as f:
        json.dump(config, f)
    try:
        args = [TOOL, 'run', f.name, '--json', '--quiet']
        for s in sets:
            args += ['--set', s]
        done = subprocess.run(args, capture_output=True, text=True)
    finally:
        os.unlink(f.name)
    if done.returncode != 0:
        raise RuntimeError('%s\n%s exit %d' % (json.dumps(config), done.stderr.strip(), done.returncode))
    return json.loads(done.stdout)


def command(args, **more):
    """What a command prints; one that fails is an error of the test."""
    done = subprocess.run(args, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (' '.join(args), done.stderr))
    return done.stdout


def installed(folder):
    """What `meson install` of the tool's build folder puts there: flags -> words, as pkg-config says them; None: it is no build folder
    or has no meson."""
    build = os.path.dirname(os.path.abspath(TOOL))
    if not shutil.which('meson') or not os.path.exists(os.path.join(build, 'meson-private', 'coredata.dat')):
        return None
    command(['meson', 'install', '-C', build, '--no-rebuild', '--quiet'], env=dict(os.environ, DESTDIR=folder))
    place = next(place for place, _, files in os.walk(folder) if 'expertsim.pc' in files)
    prefix = command(['pkg-config', '--variable=prefix', os.path.join(place, 'expertsim.pc')]).strip()
    return lambda flags: command(['pkg-config', '--define-variable=prefix=' + folder + prefix, flags, 'expertsim'],
                                 env=dict(os.environ, PKG_CONFIG_PATH=place)).split()


def untimed(trace_path, capacity, policy='lru', contract='event_atomic', **more):
    """One cache of the given capacity before an unbounded home, without time."""
    config = {
        'trace': {'path': trace_path}, 'clock': 'none', 'bounds': False,
        'tiers': {'cache': {'capacity': capacity, 'compute': 'gpu'}, 'host': {'home': True}},
        'policy': policy, 'contract': contract, 'observers': ['summary', 'coverage'],
    }
    config.update(more)
    return config


class Check:
    """Counts comparisons; prints those that differ; exit status 1 when any did or none was made."""

    def __init__(self, name):
        self.name, self.same, self.different = name, 0, 0

    def equal(self, what, got, want):
        if got == want:
            self.same += 1
        else:
            self.different += 1
            print('%s: %s: got %r, want %r' % (self.name, what, got, want))

    def close(self):
        print('%s: %d equal, %d different' % (self.name, self.same, self.different))
        sys.exit(1 if self.different or not self.same else 0)
