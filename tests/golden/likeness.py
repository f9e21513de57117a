"""trace fit on a real trace: curves of what is drawn are within 2 points of those of requests that were held out, at every size from one
token's experts on; a trace that is generated after the fit is whole, and the same every time."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool


def main():
    tool.need_traces()
    check = tool.Check('likeness')
    with tempfile.TemporaryDirectory() as folder:
        fit, first, again, other = (os.path.join(folder, name) for name in ('fit.json', 'first.h5', 'again.h5', 'other.h5'))
        held = json.loads(tool.command([tool.TOOL, 'trace', 'fit', tool.trace('gpt-oss-20b-decode'), '-o', fit, '--json']))['held_out']
        cycle = held['cycle_slots']
        check.equal('a token uses', cycle, 24 * 4)
        for policy in ('lru', 'belady'):
            pairs = list(zip(held[policy], held[policy + '_drawn']))
            check.equal('sizes', len(pairs), 24 * 32 + 1)
            farthest = max(abs(drawn - real) for real, drawn in pairs[cycle:])
            print('%s: at most %.2f points from the requests that were held out' % (policy, 100 * farthest))
            check.equal('%s within 2 points' % policy, farthest <= 0.02, True)
            check.equal('and that is what is said', abs(abs(held[policy + '_error']) - farthest) < 1e-5, True)
        for path, more in ((first, ()), (again, ()), (other, ('--layers', '30', '--experts', '64', '--top-k', '6'))):
            tool.command([tool.TOOL, 'trace', 'generate', '--like', fit, '--tokens', '2e3', '-o', path, *more])
            tool.command([tool.TOOL, 'trace', 'check', path])
        check.equal('the same bytes', open(first, 'rb').read() == open(again, 'rb').read(), True)
        info = json.loads(tool.command([tool.TOOL, 'trace', 'info', other, '--json']))
        check.equal('another shape', (info['layers'], info['experts'], info['top_k'], info['decode_tokens']), (30, 64, 6, 2000))
    check.close()


if __name__ == '__main__':
    main()
