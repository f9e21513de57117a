"""Lessons: a tutorial's blocks of code, compiled as a reader would and with every warning, against the tree and against a prefix."""
import os
import re
import shlex
import subprocess

import tool

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))


def blocks(text, language):
    return re.findall(r'^```%s\n(.*?)^```$' % language, text, re.M | re.S)


class Lesson:
    """One page of docs/: its first block of C is the file NAME.c; folder is where it is built and run."""

    def __init__(self, check, folder, page, name):
        self.check, self.folder, self.name = check, folder, name
        with open(os.path.join(ROOT, 'docs', page)) as f:
            self.text = f.read()
        self.code = blocks(self.text, 'c')[0]
        self.compiler = os.environ.get('CC', 'cc').split() + ['-std=c17', '-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Wconversion', '-Werror']
        self.cjson = tool.command(['pkg-config', '--cflags', 'libcjson']).split()

    def short(self, most):
        lines = [line for line in self.code.split('\n') if line.strip()]
        self.check.equal('%s: lines that are not blank, at most %d' % (self.name, most), len(lines) <= most, True)

    def build(self, out, flags, code=None):
        """The path of out.so."""
        source, plugin = os.path.join(self.folder, self.name + '.c'), os.path.join(self.folder, out + '.so')
        with open(source, 'w') as f:
            f.write(code or self.code)
        tool.command(self.compiler + flags + self.cjson + [source, '-o', plugin])
        return plugin

    def both(self, prefix):
        """NAME.so built against the tree, and the same of a prefix, where there is one. None: there is none."""
        built = [self.build(self.name, ['-I' + ROOT])]
        if prefix is None:
            print('%s: not tried against a prefix: the tool lies in no build folder of meson' % self.name)
            return built
        return built + [self.build('prefix', prefix)]

    def commands(self):
        """The page's own commands of the tool, with the configs of this tree: lists of words."""
        lines = [line for block in blocks(self.text, 'sh') for line in block.replace('\\\n', ' ').split('\n') if line.startswith('expertsim ')]
        configs = os.path.join(ROOT, 'configs') + os.sep
        return [[os.path.abspath(tool.TOOL)] + [word.replace('configs/', configs) for word in shlex.split(line, comments=True)[1:]] for line in lines]

    def says(self, block, output):
        """Every line of the page's text block stands in what was printed."""
        for line in blocks(self.text, 'text')[block].rstrip('\n').split('\n'):
            self.check.equal('%s: it says "%s"' % (self.name, line.strip()), line.strip().rstrip(',') in output, True)


def prefix_of(folder):
    """The compiler's flags for the headers that `meson install` puts into folder; None: the tool lies in no build folder."""
    flags_of = tool.installed(folder)
    return flags_of and [flag for flag in flags_of('--cflags-only-I') if 'expertsim' in flag]


def fails(args, **more):
    done = subprocess.run(args, capture_output=True, text=True, **more)
    return done.returncode, done.stderr
