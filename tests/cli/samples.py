"""The traces that the project ships are whole, small, and say where they come from; those recorded from models say how well they had learned."""
import glob
import json
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

SAMPLES = os.path.join(ROOT, 'traces', 'samples')
# What is lost on held-out text by who knows no more than how often each word of the training text occurs: -mean ln of its frequency there.
FREQUENCIES = {'man': 6.20, 'doc': 6.53, 'c': 6.47, 'python': 6.57}


def recorded(check, name, info):
    origin = info['provenance']
    check.equal(name + ': recorded by', (origin['from'], info['synthetic']), ('transformers', False))
    check.equal(name + ': by scripts that are here', os.path.exists(os.path.join(ROOT, origin['made_by'].split(',')[0])), True)
    check.equal(name + ': each kind of text as often', len({origin['kinds'].count(kind) for kind in set(origin['kinds'])}), 1)
    check.equal(name + ': requests', info['requests'], len(origin['kinds']))
    check.equal(name + ': learned on every kind', {kind: loss < FREQUENCIES[kind] - 2 for kind, loss in origin['trained']['loss'].items()}, dict.fromkeys(FREQUENCIES, True))
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
        recorded(check, name, info)
    check.equal('there are some', len(names) >= 3, True)
    check.close()


if __name__ == '__main__':
    main()
