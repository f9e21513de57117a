"""Devices from the command line: what is not there and what breaks has its line, whole, and exit code 3, and leaves no file; what is there is
measured, shown, fitted again, run with and validated.

CUDA is a runtime by formula (FAKE_CUDART is its library), which aborts when something was not given back. Metal is what this system has.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

TOOL = os.path.abspath(tool.TOOL)
LIBRARY = os.environ['FAKE_CUDART_LIBRARY']
SANITIZED = os.environ.get('SANITIZED') == '1'
CUDA = ['calibrate', '--backend', 'cuda', '--quick', '--most', '256KiB', '--budget', '1s', '-o', 'x.json', '--set', 'library=' + LIBRARY, '--set', 'blas=' + LIBRARY,
        '--set', 'folder=/nowhere']
HOST = ['calibrate', '--quick', '--most', '256KiB', '--budget', '1s', '-o', 'x.json', '--set', 'folder=/nowhere']
VALIDATE = ['validate', 'c.json', '--backend', 'cuda', '--option', 'library=' + LIBRARY, '--option', 'blas=' + LIBRARY, '--repeat', '2', '--policies', 'lru,fifo']


def run(folder, args, fake=None, model=None, limit=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith('FAKE_CUDART')}
    env.update({k: v for k, v in (('FAKE_CUDART', fake), ('FAKE_CUDART_MODEL', model)) if v})
    return subprocess.run([TOOL, *args], cwd=folder, capture_output=True, text=True, env=env,
                          preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None)


# (arguments, what is broken, the line behind "expertsim: ")
BROKEN = [
    (CUDA, 'driver', 'cuda: no usable CUDA device: CUDA driver version is insufficient for CUDA runtime version (cudaError 35); no NVIDIA driver is loaded. Try --backend host.'),
    (CUDA, 'none', 'cuda: no usable CUDA device: no CUDA-capable device is detected (cudaError 100). Try --backend host.'),
    (CUDA, 'stub', 'cuda: no usable CUDA device: CUDA driver is a stub library (cudaError 34); the libcuda that was found is NVIDIA\'s stub to link with, take its folder '
                   'out of LD_LIBRARY_PATH. Try --backend host.'),
    (CUDA, 'old', 'cuda: this CUDA runtime is of version 11, needs 12 or 13: the layout of what is passed differs'),
    (CUDA + ['--set', 'library=none.so'], None, 'cuda: no CUDA runtime: none.so: cannot open shared object file: No such file or directory; name it with --set library=PATH. '
                                                'Try --backend host.'),
    (CUDA, 'stream@3', 'cuda: a stream: out of memory (cudaError 2)'),
    (CUDA, 'event@40', 'cuda: an event: out of memory (cudaError 2)'),
    (CUDA, 'lost@1', 'cuda: a copy: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)'),
    (CUDA, 'lost@300', 'cuda: a copy: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)'),
    (CUDA, 'sync@40', 'cuda: a stream: unspecified launch failure (cudaError 719)'),
    (CUDA, 'time@30', 'cuda: the time between two events: unspecified launch failure (cudaError 719)'),
    (CUDA, 'product@20', 'cuda: a product of matrices: the GPU program failed to execute (cuBLAS 13)'),
    (CUDA + ['--set', 'gate=1ns'], None, 'cuda: the streams could not be held until all was queued: the driver\'s queue is full, or it took more than 1e-09 s'),
    (VALIDATE, 'none', 'cuda: no usable CUDA device: no CUDA-capable device is detected (cudaError 100). Try --backend host.'),
    (VALIDATE, 'lost@300', 'cuda: a copy: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)'),
    (VALIDATE, 'sync@60', 'cuda: a stream: unspecified launch failure (cudaError 719)'),
    (HOST + ['--set', 'blas=/none.so'], None, 'host: blas: /none.so cannot be loaded or has no cblas_sgemm and cblas_sgemv; --set blas=none computes with own loops'),
]


def broken(check, folder):
    before = sorted(os.listdir(folder))
    for args, fake, said in BROKEN:
        done = run(folder, args, fake)
        check.equal('%s %s' % (args[0], fake or args[-1]), (done.returncode, done.stderr, done.stdout), (3, 'expertsim: ' + said + '\n', ''))
    for at in range(1, 8):
        done = run(folder, CUDA, 'memory@%d' % at)
        told = done.stderr.split(' ', 3)
        check.equal('memory %d: %s' % (at, done.stderr), done.returncode == 3 and told[:2] == ['expertsim:', 'cuda:'] and done.stderr.endswith(': out of memory (cudaError 2)\n') and
                    done.stderr.count('\n') == 1, True)
    if sys.platform != 'darwin':
        done = run(folder, ['calibrate', '--backend', 'metal', '-o', 'x.json'])
        check.equal('metal', (done.returncode, done.stderr), (3, 'expertsim: metal: this program was built without Metal, which only macOS has. Try --backend host.\n'))
    if sys.platform == 'linux' and not SANITIZED:
        done = run(folder, HOST + ['--set', 'blas=none'], limit=192 << 20)
        check.equal('host without memory: ' + done.stderr, done.returncode == 3 and done.stderr.startswith('expertsim: host: out of memory: ') and
                    done.stderr.endswith(' bytes: Cannot allocate memory\n'), True)
    check.equal('nothing was written', sorted(os.listdir(folder)), before)


def at(tree, path):
    for key in path.split('.'):
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    return tree


def measured(check, folder):
    """One way through all of it, with interference that was planted."""
    done = run(folder, [a if a != 'x.json' else 'gpu.json' for a in CUDA] + ['--most', '4MiB', '--budget', '4s'], model='launch=0,computing=0.8,h2d_opposite=0.5')
    check.equal('it is measured: ' + done.stderr[-300:], done.returncode, 0)
    with open(os.path.join(folder, 'gpu.json')) as f:
        machine = json.load(f)['machine']
    h2d = at(machine, 'links.pcie.h2d')
    check.equal('alpha and rate', (round(h2d['fit']['alpha_s'] * 1e6, 1), round(h2d['fit']['beta_Bps'][0] / 1e9, 1)), (9.0, 25.0))
    check.equal('discipline', h2d['discipline'], 'fifo')
    check.equal('who waits', h2d['waits'], {'behind': True, 'first': False, 'across': False, 'chunked': True, 'spaced': False})
    check.equal('what slows it', {k: round(v, 2) for k, v in h2d['slowed_by'].items()}, {'pcie.d2h': 0.5, 'gpu': 0.8})
    check.equal('precisions', sorted(machine['gemm']), sorted({'bf16', 'int8', 'int4'} & set(machine['gemm'])))
    check.equal('environment', {'cuda_runtime', 'cuda_driver', 'pci_bus', 'copy_engines', 'event_pair_s'} <= set(machine['environment']), True)
    again = run(folder, ['calibrate', 'fit', 'gpu.h5', '-o', 'again.json'])
    with open(os.path.join(folder, 'gpu.json')) as one, open(os.path.join(folder, 'again.json')) as two:
        check.equal('it is fitted again to the same: ' + again.stderr[-200:], one.read() == two.read(), True)
    shown = run(folder, ['calibrate', 'show', 'gpu.json'])
    check.equal('it is shown', 'fifo; at 50 % of the rate beside pcie.d2h, at 80 % of the rate beside gpu' in shown.stdout, True)


def validated(check, folder):
    """The formula is the model: what is performed on it takes what the simulator says, in both modes."""
    done = run(folder, VALIDATE + ['--json'])
    check.equal('it agrees: ' + done.stderr, done.returncode, 0)
    for mode in json.loads(done.stdout or '{"modes": []}')['modes']:
        for one in mode['candidates']:
            check.equal('%s %s: bias of %r' % (mode['mode'], one['policy'], one.get('bias')), abs(one['bias']) < 0.001, True)


def config(folder):
    """Experts of 80 KiB: 9 us and 25 GB/s to come, two products of 2 us and their bytes at 2500 GB/s to be computed."""
    tree = {'bounds': False, 'policy': 'lru', 'model': {'expert_bytes': 81920},
            'trace': {'source': {'name': 'synthetic', 'layers': 2, 'top_k': 2, 'requests': 1, 'experts': 16, 'prompt_tokens': 4, 'decode_tokens': 40}},
            'tiers': {'cache': {'capacity': '16slots', 'compute': 'gpu'}, 'home': {'home': True}},
            'channels': {'pcie': {'timing': {'name': 'affine', 'latency': '9us', 'rate': '25GB/s'}}, 'gpu': {'timing': {'name': 'compute', 'expert': '4033ns'}}},
            'links': [{'from': 'home', 'to': 'cache', 'channels': ['pcie']}]}
    with open(os.path.join(folder, 'c.json'), 'w') as f:
        json.dump(tree, f)


def main():
    check = tool.Check('devices')
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        config(folder)
        broken(check, folder)
        measured(check, folder)
        validated(check, folder)
    check.close()


if __name__ == '__main__':
    main()
