"""The kernels that are embedded assemble for GPUs from Turing on: ptxas takes them, where it is installed.

    ptx.py KERNELS_PTX.c      the text that calib/kernels.py made
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TARGETS = ['sm_75', 'sm_80', 'sm_86', 'sm_89', 'sm_90']
KERNELS = {'es_nothing', 'es_spin', 'es_gather', 'es_int4'}


def embedded(path):
    """The strings of the C text, one a line."""
    with open(path) as file:
        lines = re.findall(r'^    "(.*)\\n"$', file.read(), re.MULTILINE)
    return ''.join(line.replace('\\"', '"').replace('\\\\', '\\') + '\n' for line in lines)


def main():
    ptxas = shutil.which('ptxas', path=os.environ.get('PATH', '') + ':/usr/local/cuda/bin:/opt/cuda/bin')
    text = embedded(sys.argv[1])
    if not text or not ptxas:
        print('SKIP:', 'there is no ptxas' if text else 'no kernels are embedded')
        sys.exit(77)
    wrong = []
    if set(re.findall(r'\.entry (\w+)\(', text)) != KERNELS:
        wrong.append('the kernels are %s' % re.findall(r'\.entry (\w+)\(', text))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'kernels.ptx')
        with open(path, 'w') as file:
            file.write(text)
        for target in TARGETS:
            done = subprocess.run([ptxas, '-arch=' + target, '-o', os.path.join(folder, 'out'), path], capture_output=True, text=True)
            if done.returncode != 0 or done.stderr.strip():
                wrong.append('%s: %s' % (target, (done.stderr or done.stdout).strip()[:400]))
        with open(path, 'w') as file:
            file.write(text.replace('ld.v4.u32', 'ld.v5.u32', 1))
        if subprocess.run([ptxas, '-arch=sm_75', '-o', os.path.join(folder, 'out'), path], capture_output=True).returncode == 0:
            wrong.append('ptxas takes what is no PTX')
    print('\n'.join(wrong) or 'ptx: assembles for ' + ', '.join(TARGETS))
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
