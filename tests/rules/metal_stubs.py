#!/usr/bin/env python3
"""The Metal files against headers transcribed from Apple's documentation: clang finds nothing in them, and finds what is planted.

Runs clang (CLANG, else the one on the PATH) with -fsyntax-only, as for macOS and for the runtime that the tests run on.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
FILES = ['calib/metal.m', 'calib/metal_keep.m']
RUNTIMES = ['macosx-10.15', 'gcc']

# (file, what is written there, what is planted instead)
PLANTED = [
    ('calib/metal.m', 'sourceOffset:(NSUInteger)from_at', 'sourceOfset:(NSUInteger)from_at'),                       # a part of a selector is misspelt
    ('calib/metal.m', '[m->device hasUnifiedMemory]', '[m->device hasUnifedMemory]'),                               # a property
    ('calib/metal_keep.m', '[m->pool newBufferWithLength:length options:', '[m->pool newBufferWithLenght:length options:'),     # a method of the heap
    ('calib/metal.m', 'newBufferWithLength:METAL_STAGE options:MTLResourceStorageModeShared', 'newBufferWithLength:METAL_STAGE'),   # options are missing
    ('calib/metal_keep.m', 'm->reads = [m->device', 'int wrong = [m->device'),                                      # an object used as a number
    ('calib/metal_keep.m', 'setStorageMode:MTLStorageModePrivate', 'setStorageMode:MTLStorageModePrivat'),          # a constant
    ('calib/metal_keep.m', '[encoder useHeap:m->heap]', '[encoder useHeap:m->own]'),                                # another kind of object
    ('calib/metal.m', '[job->buffer GPUEndTime]', '[job->buffer gpuEndTime]'),                                      # its name in Swift
    ('calib/metal.m', '@selector(newResidencySetWithDescriptor:error:)', '@selector(newResidencySetWithDescriptor:)'),          # a selector nobody has
]


def includes():
    flags = subprocess.run(['pkg-config', '--cflags', 'libcjson'], capture_output=True, text=True)
    return flags.stdout.split()


def faults(path, runtime, cjson):
    done = subprocess.run([os.environ.get('CLANG', 'clang'), '-fsyntax-only', '-x', 'objective-c', '-std=gnu17', '-fblocks', '-fno-objc-arc', '-Wall', '-Wextra',
        '-Werror', '-Wconversion', '-Wshadow', '-Wundeclared-selector', '-fobjc-runtime=' + runtime, '-D_GNU_SOURCE', '-DES_METAL',
        '-I', os.path.join(ROOT, 'tests', 'stubs'), '-I', ROOT, *cjson, path], capture_output=True, text=True)
    return done.stderr if done.returncode else ''


def main():
    cjson, failed = includes(), 0
    for file in FILES:
        for runtime in RUNTIMES:
            said = faults(os.path.join(ROOT, file), runtime, cjson)
            if said:
                print('%s (%s):\n%s' % (file, runtime, said))
                failed += 1
    for file, right, wrong in PLANTED:
        with open(os.path.join(ROOT, file), encoding='utf-8') as f:
            text = f.read()
        if right not in text:
            print('%s has no "%s" any more; plant something else' % (file, right))
            failed += 1
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, os.path.basename(file))
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text.replace(right, wrong, 1))
            for runtime in RUNTIMES:
                said = faults(path, runtime, cjson)
                if not re.search(r'error:', said):
                    print('%s: clang (%s) does not see "%s"' % (file, runtime, wrong))
                    failed += 1
    print('%d files, %d planted faults, %d wrong' % (len(FILES), len(PLANTED), failed))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
