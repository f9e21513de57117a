"""A format is known by what the file holds, however long its first text is, however it ends and however its columns stand; and what is not known is said so that
one knows what to do."""
import base64
import bz2
import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
import tool

CORPUS = os.path.join(ROOT, 'tests', 'fuzz', 'corpus')


def trace(*args):
    done = subprocess.run([tool.TOOL, 'trace'] + list(args), capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def known(path, *more):
    """The format, or what is said."""
    code, out, said = trace('info', path, '--json', *more)
    return json.loads(out)['format'] if code == 0 else said.strip()


def content(path, *more):
    code, out, said = trace('check', path, *more)
    return out.split('content ')[1].split()[0] if code == 0 else said.strip()


def long_texts(check, at):
    """The text of an answer or a prompt stands before its routing."""
    ids = struct.pack('<16i', *[(t + 3 * l + k) % 8 for t in range(4) for l in range(2) for k in range(2)])
    row = [[0, 1], [2, 3]]
    for size in (100, 10 * 1000, 300 * 1000, 1000 * 1000):
        text = 'a "word" ' * (size // 9)
        answers = {
            'routed_experts': {'text': text, 'output_ids': [1, 2], 'meta_info': {'id': 'x', 'prompt_tokens': 2, 'routed_experts': base64.b64encode(ids).decode()}},
            'moelens': {'prompt': text, 'layers': [{'layer': 0, 'is_dense': False, 'tokens': [{'token_index': 0, 'top_experts': [1, 2], 'top_weights': [0.5, 0.25]}]}]},
            'onnx_genai': {'prompts': {text: {'prompt_len': 1, 'prefill': [row], 'decode': [row]}}, 'num_layers': 2, 'num_experts': 4, 'top_k': 2},
            'stratamoe': {'prompt': text, 'version': 2, 'tokens': 1, 'layers': 2, 'expertsPerLayer': 4, 'topK': 2, 'selections': [row]},
            'imp': {'prompt': text, 'top_k': 2, 'trace': [[0, 1, 2], [1, 2, 3]]},
        }
        for name, answer in answers.items():
            if name == 'onnx_genai' and size > 65536:       # the prompt is a key, and no key is longer
                continue
            with open(at('long.json'), 'w') as f:
                json.dump(answer, f)
            check.equal('%s behind %d bytes of text' % (name, size), known(at('long.json'), '--layers', '2', '--top-k', '2') if name == 'routed_experts' else known(at('long.json')), name)


def npy(path, rows, shape):
    head = ("{'descr': '<i2', 'fortran_order': False, 'shape': %s, }" % (shape,)).ljust(117) + '\n'
    with open(path, 'wb') as f:
        f.write(b'\x93NUMPY\x01\0' + struct.pack('<H', len(head)) + head.encode() + struct.pack('<%dh' % len(rows), *rows))


def torn(check, at):
    """A file without a mark is known by its rows where its length is wrong, and then one is told that it is."""
    demand = struct.pack('<3I', 5, 3, 4) + struct.pack('<60H', *[(t * 7 + l * 3 + k) % 16 for t in range(5) for l in range(3) for k in range(4)])
    for name, data, words in (('cut', demand[:-3], 'the file ends with'), ('longer', demand + b'\1\0\2\0', 'bytes follow the array')):
        with open(at(name), 'wb') as f:
            f.write(data)
        check.equal('a demand file that is %s' % name, words in known(at(name)), True)
    check.equal('a demand file that is cut, lenient', known(at('cut'), '--lenient'), 'demand')


def ids_or_counts(check, at):
    """Ids with one row that repeats one are ids with a fault; counts repeat all along, or their layers have as many uses each."""
    ids = [(t * 7 + l * 3 + k * 5) % 31 + 32 * (k % 2) for t in range(40) for l in range(2) for k in range(4)]
    npy(at('ids.npy'), ids, (40, 2, 4))
    check.equal('ids', known(at('ids.npy')), 'npy')
    ids[8 * 17 + 2] = ids[8 * 17 + 1]
    npy(at('odd.npy'), ids, (40, 2, 4))
    check.equal('ids with a fault', [word in known(at('odd.npy')) for word in ('token 17, layer 0, place 2', '--as npy', '--as counts')], [True] * 3)
    check.equal('which --as counts reads', known(at('odd.npy'), '--as', 'counts', '--top-k', '2'), 'counts')
    counts = [(s * 13 + e * (7 + l)) % 6 for s in range(4) for l in range(2) for e in range(8)]
    npy(at('counts.npy'), counts, (4, 2, 8))
    check.equal('counts', known(at('counts.npy'), '--top-k', '1'), 'counts')
    even = []
    for s in range(20):                         # as many uses in each layer, and hardly a number twice
        even += [10 * s + e * e for e in range(8)] + [10 * s + (7 - e) ** 2 for e in range(8)]
    even[0] = even[2] = even[0] + 2
    npy(at('even.npy'), even, (20, 2, 8))
    check.equal('counts of equal sums', known(at('even.npy'), '--top-k', '1'), 'counts')


def columns(check, at):
    """Blanks, tabs and quotes between fields, and columns in another order."""
    def same(what, kind, change, name='small'):
        path = os.path.join(CORPUS, kind, name)
        with open(path, encoding='utf-8-sig') as f, open(at('changed'), 'w') as to:
            to.write(change(f.read()))
        check.equal(what, (known(at('changed')), content(at('changed'))), (kind, content(path)))

    def rows(change):
        return lambda text: ''.join(','.join(change(line.split(','))) + '\n' for line in text.splitlines())
    same('colibri with two blanks', 'colibri', lambda text: text.replace(' ', '  '))
    same('colibri with tabs', 'colibri', lambda text: text.replace(' ', '\t'))
    same('colibri with a blank before and behind', 'colibri', lambda text: ''.join(' %s \n' % line for line in text.splitlines()))
    same('nntrainer without blanks at its bars', 'nntrainer', lambda text: text.replace(' | ', '|'))
    same('nntrainer with many blanks', 'nntrainer', lambda text: text.replace(' ', ' \t '))
    same('csv with blanks', 'csv', lambda text: text.replace(',', ', '))
    same('csv with blanks before and behind', 'csv', lambda text: ''.join('  %s\t\n' % line for line in text.replace(',', ' ,').splitlines()))
    same('csv with quotes', 'csv', rows(lambda fields: ['"%s"' % field for field in fields]))
    same('csv with quoted names and weights', 'csv', rows(lambda fields: [' "%s"' % field for field in fields]), 'everything')
    same('csv with columns turned', 'csv', rows(lambda fields: fields[3::-1] + fields[4:]))
    same('csv of steps with columns turned', 'csv', rows(lambda fields: fields[1:5] + fields[:1] + fields[5:]), 'both')
    with open(at('odd.csv'), 'w') as f:
        f.write('request_id,token_index,phase,layer,e0\n0,0,D,0,"1\n0,1,D,0,1 2\n')
    check.equal('half a quote', 'line 2: e0 is ""1", not a whole number' in known(at('odd.csv')), True)


def compressed(check, at):
    """What is compressed as we do not, HDF5 in a compressed file, and a compressed file that is cut."""
    with open(os.path.join(ROOT, 'traces', 'samples', 'quickstart.h5'), 'rb') as f:
        native = f.read()
    for name, data, words in (('x.xz', lzma.compress(b'layer'), 'x.xz: is compressed with xz; '), ('x.bz2', bz2.compress(b'layer'), 'x.bz2: is compressed with bzip2; '),
                              ('x.h5.gz', gzip.compress(native), 'x.h5.gz: holds HDF5 in a compressed file, but it is read from any place of one; unpack it first (gunzip, unzstd)')):
        with open(at(name), 'wb') as f:
            f.write(data)
        check.equal(name, words in known(at(name)), True)
    for kind in ('csv', 'colibri', 'lattice', 'jsonl', 'route_trace', 'npy', 'rtrc'):
        text = lengthy(kind)
        for part in (0.5, 0.9, 1):
            data = gzip.compress(text)
            with open(at('cut.gz'), 'wb') as f:
                f.write(data[:-9] if part == 1 else data[:int(part * len(data))])
            check.equal('%s cut at %g' % (kind, part), ('the gzip stream ends early, after ' in known(at('cut.gz')), known(at('cut.gz')).endswith('; --lenient uses what came before')), (True, True))
            code, out, said = trace('info', at('cut.gz'), '--json', '--lenient')
            told = [line for line in json.loads(out)['assumed'] if 'the compressed file is cut: it ends early' in line] if code == 0 else said
            check.equal('%s cut at %g, lenient' % (kind, part), (code, len(told)), (0, 1))
            with open(at('whole'), 'wb') as f:
                f.write(text)
            tokens, whole = [json.loads(trace('info', at(name), '--json', '--lenient')[1])['decode_tokens'] for name in ('cut.gz', 'whole')]
            check.equal('%s cut at %g, its tokens' % (kind, part), tokens == whole if part == 1 else 0 < tokens < whole, True)


def lengthy(kind):
    """A trace of 2000 generated tokens of two layers, whose numbers do not repeat soon."""
    rows = [(t, l, [(t * t + 5 * l) % 61, 61 + (t * 7919 + l) % 67]) for t in range(2000) for l in range(2)]
    if kind == 'npy':
        head = ("{'descr': '<i2', 'fortran_order': False, 'shape': (2000, 2, 2), }").ljust(117) + '\n'
        return b'\x93NUMPY\x01\0' + struct.pack('<H', len(head)) + head.encode() + struct.pack('<8000h', *[i for _, _, ids in rows for i in ids])
    if kind == 'rtrc':
        return b'RTRC' + struct.pack('<BBBH', 1, 2, 2, 128) + b''.join(struct.pack('<BIBBB', 1, t, l, *ids) for t, l, ids in rows)
    line = {
        'csv': lambda t, l, ids: '0,%d,D,%d,%d,%d\n' % (t, l, *ids),
        'colibri': lambda t, l, ids: '%d 0 %d %d:0.5 %d:0.25\n' % (2 * t + l, l, *ids),
        'lattice': lambda t, l, ids: json.dumps({'layer_idx': l, 'token_idx': t, 'selected_ids': ids, 'gate_weights': [0.75, 0.25]}) + '\n',
        'jsonl': lambda t, l, ids: json.dumps({'step': t, 'request': 0, 'token': t, 'phase': 'D', 'layer': l, 'experts': ids}) + '\n',
        'route_trace': lambda t, l, ids: ''.join('0,1,%d,%d,%d,%d,0.5,1,0\n' % (t, l, k, ids[k]) for k in range(2)),
    }[kind]
    head = {
        'csv': 'request_id,token_index,phase,layer,e0,e1\n',
        'jsonl': '{"expertsim":"trace","version":1,"model":"","layers":[0,1],"experts":128,"top_k":2,"guesses":0}\n',
        'route_trace': '# route_trace v1\n# model= arch=unknown n_layer=2 n_expert=128 n_expert_used=2\nturn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n',
    }.get(kind, '')
    return (head + ''.join(line(*row) for row in rows)).encode()


def main():
    check = tool.Check('known')
    with tempfile.TemporaryDirectory() as folder:
        def at(name):
            return os.path.join(folder, name)

        long_texts(check, at)
        torn(check, at)
        ids_or_counts(check, at)
        columns(check, at)
        compressed(check, at)
    check.close()


if __name__ == '__main__':
    main()
