"""What the tests of sweeps share: a small base config, and a folder with sweep files in it."""
import json
import os
import subprocess

import tool

TOOL = os.path.abspath(tool.TOOL)
TRACE = {'source': {'name': 'synthetic', 'layers': 4, 'experts': 16, 'top_k': 2, 'requests': 2, 'prompt_tokens': 4, 'decode_tokens': 40, 'seed': 3}}
BASE = {
    'name': 'small', 'trace': TRACE, 'model': {'expert_bytes': '1MiB'}, 'policy': 'lru',
    'tiers': {'cache': {'capacity': '16slots', 'compute': 'gpu'}, 'host': {'home': True}},
    'channels': {'pcie': {'timing': {'name': 'constant', 'time': '1ms'}}, 'gpu': {'timing': {'name': 'compute', 'dense': '1ms', 'expert': '10us'}}},
    'links': [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}],
}
CAPACITY = 'tiers.cache.capacity'


def call(*args, **more):
    return subprocess.run([TOOL, 'sweep'] + list(args), capture_output=True, text=True, **more)


def found(verb, *args):
    """What `expertsim VERB ... --json` prints, from any folder."""
    done = subprocess.run([TOOL, verb, *args, '--json'], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError('%s %s: %s' % (verb, ' '.join(args), done.stderr))
    return json.loads(done.stdout)


def fine(*args, **more):
    """What a command prints that must go well."""
    done = call(*args, **more)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (' '.join(args), done.stderr))
    return done.stdout


class Folder:
    def __init__(self, path):
        self.path = os.path.realpath(path)
        self.write('base.json', BASE)

    def at(self, *names):
        return os.path.join(self.path, *names)

    def write(self, name, value):
        os.makedirs(os.path.dirname(self.at(name)), exist_ok=True)
        with open(self.at(name), 'w') as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        return self.at(name)

    def sweep(self, axes, name='sweep.json', **more):
        return self.write(name, {'base': 'base.json', 'axes': axes, **more})

    def plan(self, axes, **more):
        return json.loads(fine('plan', self.sweep(axes, **more), '--json'))

    def traces(self):
        """a.h5 and b.h5, two short recordings."""
        for name, seed in (('a.h5', 1), ('b.h5', 2)):
            sets = {'layers': 3, 'experts': 8, 'top_k': 2, 'requests': 1, 'prompt_tokens': 1, 'decode_tokens': 20, 'seed': seed}
            subprocess.run([TOOL, 'trace', 'generate', '-o', self.at(name)] + [word for key in sets for word in ('--set', '%s=%d' % (key, sets[key]))], check=True)
