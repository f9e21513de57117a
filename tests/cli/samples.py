"""The traces that the project ships are whole, small, and say where they come from; those recorded from models say how well they had learned."""
import glob
import json
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

SAMPLES = os.path.join(ROOT, 'traces', 'samples')
EVEN = 7.62         # ln of 2048 words: what a model that has learned nothing loses


def recorded(check, name, info):
    origin = info['provenance']
    check.equal(name + ': recorded by', origin['from'], 'transformers')
    check.equal(name + ': by scripts that are here', os.path.exists(os.path.join(ROOT, origin['made_by'].split(',')[0])), True)
    check.equal(name + ': each kind of text as often', sorted(origin['kinds'].count(kind) for kind in set(origin['kinds'])), [4, 4, 4, 4])
    check.equal(name + ': requests', info['requests'], len(origin['kinds']))
    check.equal(name + ': learned on every kind', all(loss < EVEN / 2 for loss in origin['trained']['loss'].values()), True)
    check.equal(name + ': load of every layer', len(origin['trained']['load_entropy']), info['layers'])
    check.equal(name + ': no expert gets all', all(0.5 < share <= 1 for share in origin['trained']['load_entropy']), True)


def main():
    check = tool.Check('samples')
    names = sorted(glob.glob(os.path.join(SAMPLES, '*.h5')))
    readme = open(os.path.join(SAMPLES, 'README.md')).read()
    for path in names:
        name = os.path.basename(path)
        tool.command([tool.TOOL, 'trace', 'check', path])
        info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path, '--json']))
        check.equal(name + ': stands in the README', '`%s`' % name in readme, True)
        check.equal(name + ': less than 1 MiB', os.path.getsize(path) < 2**20, True)
        if not info['synthetic']:
            recorded(check, name, info)
    check.equal('some were recorded', sum('x' in os.path.basename(name) for name in names) >= 2, True)
    check.close()


if __name__ == '__main__':
    main()
