"""README.md says what the tool says: its console blocks are run and compared, and so are the option reference and the shown config. So are the
console blocks of docs/limits.md, and the options that it names must be there. The pictures are drawn anew and compared byte for byte where gnuplot is the
version that drew them. No link of any page leads nowhere.
The table of benchmarks is not measured again: only that it has the rows is checked.

    readme.py             compares
    readme.py --update    writes them anew (not the benchmarks: tests/bench/bench.py --table does)
"""
import difflib
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path[:0] = [os.path.join(ROOT, 'tests', 'support'), os.path.join(ROOT, 'tests', 'bench')]
import bench
import tool

README = os.path.join(ROOT, 'README.md')
LIMITS = os.path.join(ROOT, 'docs', 'limits.md')
PAGES = ['calib', 'configs', 'docs', 'models', 'plots', 'traces']     # folders with pages
PICTURES = os.path.join(ROOT, 'docs', 'pictures')
LARGEST = 60000     # bytes of a picture
QUICKSTART = 'configs/quickstart.json'
DRAWN = {       # figure: the command that keeps what it is drawn from, in the folder that is its last word
    'latency': ['run', QUICKSTART, '-q', '--out'],
    'stalls-time': ['run', QUICKSTART, '-q', '--set', 'observers=["summary", "tables", "series", "attribution"]', '--out'],
    'pareto': ['search', QUICKSTART, '--target', 'tokens_per_s>=70', '--over', 'tiers.cache.capacity=1GiB..9GiB/512MiB', '--quiet', '--out'],
    'speed': ['sweep', 'run', 'configs/sweeps/policies.json', '-q', '-o'],
    'gains': ['verdict', QUICKSTART, '--quiet', '--out'],
}


def shell(command, folder):
    """What a command prints, run in the root of the tree with the tool in the path."""
    env = dict(os.environ, PATH=folder + os.pathsep + os.environ['PATH'])
    done = subprocess.run(['sh', '-c', command], cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError('%s: %s' % (command, done.stderr))
    return done.stdout


def renewed(text, folder):
    def console(match):
        commands = [line for line in match.group(1).split('\n') if line.startswith('$ ')]
        return '```console\n' + ''.join('%s\n%s' % (c, shell(c[2:], folder)) for c in commands) + '```'

    def file(match):
        return '```json file=%s\n%s```' % (match.group(1), open(os.path.join(ROOT, match.group(1))).read())

    def options(match):
        return match.group(1) + '\n' + shell('expertsim options', folder).strip() + '\n' + match.group(2)

    text = re.sub(r'```console\n(.*?)```', console, text, flags=re.S)
    text = re.sub(r'```json file=(\S+)\n(.*?)```', file, text, flags=re.S)
    return re.sub(r'(<!-- options:[^>]*-->)\n.*?(<!-- /options -->)', options, text, flags=re.S)


def unknown_options(text, reference):
    """Names in backquotes that look like a path of a config, or like an option of a part, and stand nowhere in the reference."""
    paths = re.findall(r'`((?:tiers|channels|links|trace|model|catalog|compute|training|contract|sweep)\.[A-Za-z_.]+)`', text)
    options = re.findall(r'`([a-z_]+)` (?:of|is 0|unit)', text)
    return sorted({name for name in paths + options if '`%s`' % name not in reference})


def anchors(text):
    """What GitHub calls the headings."""
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in re.findall(r'^#+ (.*)$', text, re.M)}


def broken_links(path):
    """Links of a page to files or headings that are not there."""
    text = open(path).read()
    broken = []
    for link in re.findall(r'\]\(([^)\s]+)\)', re.sub(r'```.*?```', '', text, flags=re.S)):
        file, _, heading = link.partition('#')
        there = os.path.join(os.path.dirname(path), file) if file else path
        if '://' not in link and (not os.path.exists(there) or heading and heading not in anchors(open(there).read())):
            broken.append('%s: %s' % (os.path.relpath(path, ROOT), link))
    return broken


def compared(check, path, old, new):
    if new != old:
        name = os.path.relpath(path, ROOT)
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, 'as the tool says it', n=0))
        print('readme: write it anew with: EXPERTSIM=build/expertsim python3 tests/cli/readme.py --update')
    check.equal(os.path.basename(path) + ' is as the tool says', new == old, True)
    check.equal('it shows no path of this machine', ROOT in old, False)


def drawn_anew(folder):
    """{figure: bytes} as gnuplot here draws them; the figures' titles. Nothing of the first without gnuplot."""
    pictures, titles = {}, {}
    for name, command in DRAWN.items():
        kept = os.path.join(folder, name)
        tool.command([os.path.abspath(tool.TOOL), *command, kept], cwd=ROOT)
        said = tool.command([os.path.abspath(tool.TOOL), 'plot', kept, '--what', name, '--format', 'svg', '--out', folder], cwd=ROOT)
        titles[name] = re.search(r'^%s +(.*)$' % name, said, re.M).group(1)
        if os.path.exists(os.path.join(folder, name + '.svg')):
            with open(os.path.join(folder, name + '.svg'), 'rb') as file:
                pictures[name] = file.read()
    return pictures, titles


def version_of(picture):
    return re.search(rb'Produced by GNUPLOT ([^<]*?) *<', picture).group(1)


def pictures_compared(check, text, pictures, titles):
    """What lies in docs/pictures is what README shows, small, says what the figure found, and is what is drawn here."""
    check.equal('pictures that README shows', sorted(re.findall(r'\]\(docs/pictures/([^)]*)\.svg\)', text)), sorted(DRAWN))
    check.equal('pictures that lie there', sorted(os.listdir(PICTURES)), sorted(name + '.svg' for name in DRAWN))
    for name in DRAWN:
        with open(os.path.join(PICTURES, name + '.svg'), 'rb') as file:
            kept = file.read()
        check.equal(name + '.svg is small', len(kept) < LARGEST, True)
        spoken = ''.join(re.findall(r'<text[^>]*>(.*?)</text>', kept.decode(), re.S))
        bare = re.sub(r'<[^>]*>|\s', '', spoken)
        check.equal(name + '.svg says what was found', re.sub(r'\s', '', titles[name]) in bare, True)
        if name not in pictures:
            print('SKIP: %s.svg is not drawn anew: there is no gnuplot' % name)
        elif version_of(pictures[name]) != version_of(kept):
            print('SKIP: %s.svg was drawn by gnuplot %s; here is %s' % (name, version_of(kept).decode(), version_of(pictures[name]).decode()))
        else:
            check.equal(name + '.svg is as gnuplot draws it', pictures[name] == kept, True)


def update(new, pictures):
    for path in new:
        with open(path, 'w') as file:
            file.write(new[path])
    for name, picture in pictures.items():
        os.makedirs(PICTURES, exist_ok=True)
        with open(os.path.join(PICTURES, name + '.svg'), 'wb') as file:
            file.write(picture)


def main():
    old = {path: open(path).read() for path in (README, LIMITS)}
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(tool.TOOL), os.path.join(folder, 'expertsim'))
        new = {path: renewed(old[path], folder) for path in old}
        pictures, titles = drawn_anew(folder)
    if sys.argv[1:] == ['--update']:
        update(new, pictures)
        return
    check = tool.Check('readme')
    for path in old:
        compared(check, path, old[path], new[path])
    pages = [README] + sorted(page for folder in PAGES for page in glob.glob(os.path.join(ROOT, folder, '**', '*.md'), recursive=True))
    check.equal('links that lead nowhere', [link for page in pages for link in broken_links(page)], [])
    check.equal('it has console blocks', old[README].count('```console') >= 5, True)
    check.equal('its table of benchmarks', bench.readme_faults(old[README]), [])
    pictures_compared(check, new[README], pictures, titles)
    reference = new[README][new[README].index('## Option reference'):]
    check.equal('options that docs/limits.md names and nobody has', unknown_options(old[LIMITS], reference), [])
    check.equal('a name that nobody has is found', unknown_options('`tiers.NAME.colour` and `hue` of timing `compute`', reference), ['hue', 'tiers.NAME.colour'])
    check.close()


if __name__ == '__main__':
    main()
