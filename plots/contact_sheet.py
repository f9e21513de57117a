#!/usr/bin/env python3
"""All figures of the shipped examples on one page: FOLDER/index.html, each figure beside the command that drew it.

    contact_sheet.py FOLDER [--tool build/expertsim]

Runs the examples (a minute), draws what each gives and writes the page. `sheet` does the same for tests, which check what is on it.
"""
import argparse
import html
import json
import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
QUICKSTART = os.path.join(ROOT, 'configs', 'quickstart.json')
OBSERVERS = 'observers=["summary","coverage","latency","traffic","memory","tables","series","occupancy"]'
SHORT = {'include': QUICKSTART, 'trace': {'path': None, 'source': {'name': 'synthetic', 'layers': 24, 'experts': 32, 'top_k': 4, 'requests': 1, 'decode_tokens': 40}}}
REPLICATED = {'name': 'replicated', 'base': SHORT, 'replications': {'count': 4, 'vary': ['trace.source.seed']}, 'axes': {'policy': ['lru', 'random'], 'tiers.cache.capacity': ['20%', '40%', '80%']}}
MACHINE = {      # what `expertsim validate` is held against: the probe `fake`, slower and noisier than the config says
    'bounds': False, 'policy': 'lru', 'model': {'expert_bytes': '80KiB'},
    'trace': {'source': {'name': 'synthetic', 'layers': 2, 'experts': 12, 'top_k': 2, 'requests': 1, 'decode_tokens': 60, 'seed': 3}},
    'tiers': {'cache': {'capacity': '6slots', 'compute': 'gpu'}, 'host': {'capacity': '12slots'}, 'home': {'home': True}},
    'channels': {'pcie': {'timing': {'name': 'affine', 'latency': '10us', 'rate': '1GB/s'}},
                 'nvme': {'timing': {'name': 'affine', 'latency': '50us', 'rate': '25MB/s'}},
                 'gpu': {'timing': {'name': 'compute', 'expert': '18192ns'}}},
    'links': [{'from': 'host', 'to': 'cache', 'channels': ['pcie']}, {'from': 'home', 'to': 'host', 'channels': ['nvme']}],
}

# What is on the page: (name, commands that make it, what is plotted). DIR/ is the folder, ROOT/ the tree.
EXAMPLES = [
    ('run', [['run', QUICKSTART, '--set', OBSERVERS, '--out', 'DIR/run', '--quiet']], ['DIR/run']),
    ('thresholds', [['run', 'ROOT/configs/seeds/001-coverage.json', '--set', OBSERVERS, '--set', 'tuner=adaptive', '--out', 'DIR/thresholds', '--quiet']], ['DIR/thresholds']),
    ('policies', [['run', QUICKSTART, '--set', 'policy=' + name, '--out', 'DIR/' + name, '--quiet'] for name in ('lru', 'lfu', 'belady')],
     ['DIR/lru', 'DIR/lfu', 'DIR/belady']),
    ('sweep', [['sweep', 'run', 'ROOT/configs/sweeps/policies.json', '--out', 'DIR/sweep', '--quiet']], ['DIR/sweep']),
    ('replications', [['sweep', 'run', 'DIR/replicated.json', '--out', 'DIR/replications', '--quiet']], ['DIR/replications']),
    ('table', [['sweep', 'collect', 'DIR/sweep', '--out', 'DIR/sweep.h5', '--quiet']], ['DIR/sweep.h5']),
    ('curves', [['mrc', '--config', QUICKSTART, '--policies', 'lru,belady,belady_bypass,static', '--out', 'DIR/curves', '--quiet']], ['DIR/curves']),
    ('comparison', [['compare', QUICKSTART, '--policies', 'lru,lfu,belady', '--out', 'DIR/comparison', '--quiet']], ['DIR/comparison']),
    ('search', [['search', QUICKSTART, '--target', 'tokens_per_s>=70', '--over', 'tiers.cache.capacity', '--out', 'DIR/search', '--quiet']], ['DIR/search']),
    ('verdict', [['verdict', QUICKSTART, '--out', 'DIR/verdict', '--quiet']], ['DIR/verdict']),
    ('validation', [['validate', 'DIR/machine.json', '--backend', 'fake', '--option', 'alpha=12us', '--option', 'rate=0.95GB/s', '--option', 'noise=0.1',
                     '--policies', 'lru,random', '--repeat', '3', '--out', 'DIR/validation', '--quiet']], ['DIR/validation']),
    ('profile', [], ['ROOT/models/profiles/rtx3060-pcie4-desktop.json']),
    ('calibration', [], ['ROOT/models/profiles/host-epyc-vm.json']),
]


def call(tool, args, folder, fine=(0,)):
    words = [word.replace('DIR/', folder + '/').replace('ROOT/', ROOT + '/') for word in args]
    done = subprocess.run([tool] + words, capture_output=True, text=True)
    if done.returncode not in fine:
        raise RuntimeError('expertsim %s: %s' % (' '.join(words), done.stderr.strip()))
    return done.stdout


def examples(tool, folder):
    """Makes all that is plotted; a validation that finds the model wanting (exit code 5) is as good as any."""
    os.makedirs(folder, exist_ok=True)
    for name, config in (('replicated', REPLICATED), ('machine', MACHINE)):
        with open(os.path.join(folder, name + '.json'), 'w') as file:
            json.dump(config, file)
    for name, commands, _ in EXAMPLES:
        for command in commands:
            call(tool, command, folder, fine=(0, 5) if name == 'validation' else (0,))


def titles(said):
    """{name of a figure: what it shows} of what `plot` or `plot --list` prints."""
    rows = [line.split(None, 1) for line in said.splitlines() if line and not line.startswith(('- ', 'There is no gnuplot')) and ' figures in ' not in line]
    return {row[0]: row[1] for row in rows}


def sheet(tool, folder):
    """[(example, command, {name: title})] of all examples, and the page."""
    examples(tool, folder)
    drawn = []
    for name, _, paths in EXAMPLES:
        command = ['plot'] + paths + ['--out', 'DIR/figures/' + name]
        said = titles(call(tool, command, folder))
        drawn.append((name, 'expertsim ' + ' '.join(command).replace('DIR/', '').replace('ROOT/', ''), said))
    page(folder, drawn)
    return drawn


HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>expertsim: all figures</title><style>
body { font: 15px/1.4 sans-serif; margin: 2em; color: #222; background: #fff }
section { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1em }
figure { margin: 0; border: 1px solid #ddd; padding: .5em } img { width: 100% } figcaption { font-size: 13px; color: #555 } code { font-size: 13px }
</style></head><body><h1>All figures of the shipped examples</h1>
"""


def page(folder, drawn):
    with open(os.path.join(folder, 'index.html'), 'w') as out:
        out.write(HEAD)
        for name, command, said in drawn:
            out.write('<h2>%s</h2><p><code>%s</code></p><section>\n' % (html.escape(name), html.escape(command)))
            for figure, title in said.items():
                out.write('<figure><img src="figures/%s/%s.svg" alt="%s"><figcaption>%s: <a href="figures/%s/%s.gp">script</a>, <a href="figures/%s/%s.dat">data</a>'
                          '</figcaption></figure>\n' % (name, figure, html.escape(title), figure, name, figure, name, figure))
            out.write('</section>\n')
        out.write('</body></html>\n')


def main():
    words = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    words.add_argument('folder')
    words.add_argument('--tool', default='build/expertsim')
    given = words.parse_args()
    folder = os.path.abspath(given.folder)
    drawn = sheet(os.path.abspath(given.tool), folder)
    print('%d figures: %s' % (sum(len(said) for _, _, said in drawn), os.path.join(folder, 'index.html')))


if __name__ == '__main__':
    sys.exit(main())
