"""expertsim report, in a real headless Chromium: nothing on the console, nothing asked of the network, nothing wider than the window at 1280 and
400 pixels or on paper, tables that sort on a click and on a key, colours that can be read in light and dark, and all of it but the sorting
without JavaScript. Skipped where there is no Chromium."""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import browser
import sweeps
import tool

LEAST = 4.5                     # contrast of text with what is behind it, as WCAG 2 asks of small text

# Contrast of every text with the colours behind it, the least for each kind of element; texts of figures lie on plates of their own.
CONTRAST = """(() => {
  const parts = text => { const m = text.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
  const over = (top, under) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * under[i]);
  const light = c => [0, 1, 2].map(i => c[i] / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => e ? over(parts(getComputedStyle(e).backgroundColor), behind(e.parentElement)) : [255, 255, 255];
  const found = {};
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || e.closest('svg, script, style')) continue;
    const back = behind(e), front = over(parts(getComputedStyle(e).color), back);
    const [a, b] = [light(front), light(back)], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const name = e.tagName.toLowerCase() + (e.className ? '.' + e.className : '');
    found[name] = Math.min(found[name] || 99, ratio);
  }
  return found;
})()"""

COLUMN = "[...document.querySelectorAll('table')].find(t => t.caption.textContent === %r).tBodies[0].rows"
WIDE = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('details:not([open])') && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.tagName + '.' + e.className)"""


def made(here):
    """A page of each kind: name -> path."""
    def call(*args, **more):
        done = subprocess.run([sweeps.TOOL, *args], capture_output=True, text=True, **more)
        if done.returncode != 0:
            raise RuntimeError('%s: %s' % (' '.join(args), done.stderr))

    long = {**sweeps.BASE, 'name': 'a-name-without-any-break-' * 5, 'brief': 'x' * 300}
    config, guesses = here.write('config.json', long), 'predictor={"name":"noisy_oracle","accuracy":0.5}'
    call('run', config, '--set', guesses, '--out', here.at('run'), '-q')
    call('verdict', config, '--set', guesses, '--out', here.at('run'), '-q')
    call('compare', config, '--policies', 'lru,random,belady,fifo', '--resamples', '199', '--out', here.at('compared'), '-q')
    call('sweep', 'run', here.sweep({'policy': ['lru', 'random', 'belady'], sweeps.CAPACITY: ['8slots', '16slots', '32slots']}), '-o', here.at('swept'), '-q')
    call('run', os.path.join(ROOT, 'configs', 'seeds', '003-metal-pool.json'), '--out', here.at('buffers'), '-q', cwd=ROOT)
    pages = {}
    for name in ('run', 'compared', 'swept', 'buffers'):
        call('report', here.at(name), '-q')
        pages[name] = here.at(name, 'report.html')
    return pages


def quiet(check, what, b, path):
    check.equal(what + ': nothing on the console', b.said(), [])
    check.equal(what + ': nothing asked for', [url for url in b.asked() if url != 'file://' + path], [])


def check_room(check, b, name, path):
    for width in (1280, 400):
        for dark in (False, True):
            what = '%s at %d, %s' % (name, width, 'dark' if dark else 'light')
            b.open(path, width=width, dark=dark)
            quiet(check, what, b, path)
            check.equal(what + ': no wider than the window', (b.value('document.documentElement.scrollWidth'), b.value(WIDE)), (width, []))
            b.value("document.querySelectorAll('details').forEach(d => d.open = true)")
            check.equal(what + ': nor unfolded', (b.value('document.documentElement.scrollWidth'), b.value(WIDE)), (width, []))
            contrast = b.value(CONTRAST)
            check.equal(what + ': texts were looked at', len(contrast) > 8, True)
            check.equal(what + ': contrast', {key: round(value, 2) for key, value in contrast.items() if value < LEAST}, {})
            back = b.value('getComputedStyle(document.body).backgroundColor')
            check.equal(what + ': it is as dark as asked', (sum(map(int, re.findall(r'\d+', back)[:3])) < 200), dark)


def check_sort(check, b, name, path):
    """Every table that sorts, by every head: down and up, by the numbers that are meant; rows stay whole."""
    b.open(path)
    b.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    captions = b.value("[...document.querySelectorAll('table.sorts')].filter(t => t.tBodies[0].rows.length > 1).map(t => t.caption.textContent)")
    check.equal(name + ' has tables that sort', len(captions) > 0, True)
    for caption in captions:
        rows = COLUMN % caption
        before = b.value('[...%s].map(r => r.textContent)' % rows)
        heads = b.value("%s[0].closest('table').tHead.rows[0].cells.length" % rows)
        for head in range(heads):
            button = "%s[0].closest('table').tHead.rows[0].cells[%d].querySelector('button')" % (rows, head)
            state = "%s.parentElement.getAttribute('aria-sort')" % button
            numeric = b.value("%s.parentElement.classList.contains('n')" % button)
            for way in (['descending', 'ascending'] if numeric else ['ascending', 'descending']):
                b.value(button + '.click()')
                what = '%s: %s, head %d, %s' % (name, caption, head, way)
                check.equal(what, b.value(state), way)
                got = b.value('[...%s].map(r => r.cells[%d].dataset.v === undefined ? (%s ? null : r.cells[%d].textContent) : +r.cells[%d].dataset.v)'
                              % (rows, head, 'true' if numeric else 'false', head, head))
                if numeric:
                    known = [value for value in got if value is not None]
                    check.equal(what + ': in order', got, sorted(known, reverse=way == 'descending') + [None] * (len(got) - len(known)))
                else:
                    order = b.value("%s.sort((a, b) => a.localeCompare(b, 'en', {numeric: true}))" % got)
                    check.equal(what + ': in order', got, order if way == 'ascending' else order[::-1])
            check.equal('%s: %s: the same rows' % (name, caption), sorted(b.value('[...%s].map(r => r.textContent)' % rows)), sorted(before))
        check.equal('%s: %s: one head says so' % (name, caption), b.value("%s[0].closest('table').querySelectorAll('[aria-sort]').length" % rows), 1)
    b.value("document.querySelector('th button').focus()")
    was = b.value("document.activeElement.parentElement.getAttribute('aria-sort')")
    for kind in ('keyDown', 'keyUp'):
        b.call('Input.dispatchKeyEvent', type=kind, key='Enter', code='Enter', windowsVirtualKeyCode=13, text='\r' if kind == 'keyDown' else '')
    check.equal(name + ': a key sorts too', b.value("document.activeElement.parentElement.getAttribute('aria-sort')") != was, True)
    quiet(check, name + ', sorted', b, path)


def check_plain(check, b, name, path):
    """Without JavaScript all that is to be read is there; only the sorting is missing."""
    b.open(path)
    with_script = b.value("document.querySelector('main').innerText.replace(/[\\u2190-\\u21ff\\s]+/g, ' ').trim()")
    b.open(path, script=False)
    quiet(check, name + ' without a script', b, path)
    check.equal(name + ' without a script', (b.value("document.querySelectorAll('th button').length"),
                                           b.value("document.querySelector('main').innerText.replace(/[\\u2190-\\u21ff\\s]+/g, ' ').trim()") == with_script), (0, True))


def check_paper(check, b, name, path, here):
    b.open(path, width=717, media='print', dark=True)    # A4 within the usual margins
    check.equal(name + ' on paper: contrast', {key: round(value, 2) for key, value in b.value(CONTRAST).items() if value < LEAST}, {})
    check.equal(name + ' on paper: white, without links to jump by', (b.value('getComputedStyle(document.body).backgroundColor'),
                                                                     b.value("getComputedStyle(document.querySelector('nav')).display")), ('rgb(255, 255, 255)', 'none'))
    b.value("window.dispatchEvent(new Event('beforeprint'))")
    check.equal(name + ' on paper: no table is cut off', b.value("""[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > innerWidth + 0.5)
        .map(t => t.caption.textContent)"""), [])
    check.equal(name + ' on paper: all is unfolded', b.value("document.querySelectorAll('details:not([open]):not(.long)').length"), 0)
    b.value("window.dispatchEvent(new Event('afterprint'))")
    check.equal(name + ' afterwards: folded again', b.value("document.querySelectorAll('details[open]').length"), 0)
    b.paper(here.at(name + '.pdf'))
    with open(here.at(name + '.pdf'), 'rb') as file:
        text = file.read()
    check.equal(name + ' on paper: pages', (text[:5], len(re.findall(rb'/Type\s*/Page\b', text)) > 0), (b'%PDF-', True))


def main():
    if not browser.found():
        print('SKIP: there is no Chromium; sh setup.sh deps-ci installs it, or CHROMIUM names it')
        sys.exit(77)
    check = tool.Check('report_browser')
    with tempfile.TemporaryDirectory() as folder:
        here = sweeps.Folder(folder)
        pages = made(here)
        with browser.Browser() as b:
            for name, path in pages.items():
                check_room(check, b, name, path)
                check_sort(check, b, name, path)
                check_plain(check, b, name, path)
                check_paper(check, b, name, path, here)
    check.close()


if __name__ == '__main__':
    main()
