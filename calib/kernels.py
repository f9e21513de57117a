"""Makes a C text of calib/kernels.cu: PTX by the first compiler that can, or an empty text, with which the probe skips what needs it.

    kernels.py SOURCE OUT COMPILER...      COMPILER: nvcc or clang, by path
"""
import os
import subprocess
import sys
import tempfile

# PTX is compiled again for the device that is there: the oldest target that the compiler knows runs on the most of them. A compiler
# writes its own version above it, which an older driver refuses; nothing here is younger than VERSION, which sm_75 came with.
VERSION = '.version 6.3'
WAYS = {
    'nvcc': ['-ptx', '-O3', '-arch=compute_75', '-o'],
    'clang': ['-x', 'cuda', '--cuda-device-only', '-S', '-nocudainc', '-nocudalib', '--cuda-gpu-arch=sm_70', '-O3', '-Wno-unknown-cuda-version', '-o'],
}


def compiled(source, compiler):
    name = 'nvcc' if 'nvcc' in os.path.basename(compiler) else 'clang'
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'kernels.ptx')
        try:
            done = subprocess.run([compiler, *WAYS[name], out, source], capture_output=True, text=True, timeout=300)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f'{compiler}: {error}')
            return ''
        if done.returncode != 0:
            print(f'{compiler} makes no PTX of {source}: {(done.stderr or done.stdout).strip()[:500]}')
            return ''
        with open(out) as file:
            return file.read()


def main():
    source, out, *compilers = sys.argv[1:]
    text = ''
    for compiler in compilers:
        text = text or compiled(source, compiler)
    # comments name the compiler's build and say nothing to the driver
    lines = [line.rstrip() for line in text.split('\n') if line.strip() and not line.lstrip().startswith('//')]
    lines = [VERSION if line.startswith('.version ') else line for line in lines]
    with open(out, 'w') as file:
        file.write('/* Kernels: made of calib/kernels.cu by calib/kernels.py. */\n#include "calib/cuda_inside.h"\n\nconst char cuda_kernels_ptx[] =\n')
        for line in lines:
            file.write('    "%s\\n"\n' % line.replace('\\', '\\\\').replace('"', '\\"'))
        file.write('    "";\n')
    print(f'{len(lines)} lines of PTX')


if __name__ == '__main__':
    main()
