"""Every format loads the same routing: the shared samples, and the same routing written here in the formats that have none.

All are exported as neutral CSV and compared id by id, in order of tokens and layers, with one sample (BigMoeOnEdge's, which says most).
What a format cannot say is not compared: where positions begin, and the order of ids where it is a union."""
import csv
import io
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool

# sample: (format, options that it needs, whether it has the prompt, how much of each row it says)
SAMPLES = {
    'bigmoeonedge.route.csv': ('route_trace', [], True), 'colibri.route.txt': ('colibri', [], True), 'nntr.txt': ('nntrainer', [], True),
    'lattice.jsonl': ('lattice', [], False), 'imp.json': ('imp', [], False), 'moe-cache-lab.v1.jsonl': ('moe_cache_lab', [], True),
    'stratamoe.v2.json': ('stratamoe', [], False), 'onnx-genai.json': ('onnx_genai', [], True), 'routing.npy': ('npy', [], False),
    'demand_u32hdr_u16.bin': ('demand', [], False), 'ds4.ids.bin': ('ds4', ['--as', 'ds4', '--layers', '30'], False), 'moet.trace': ('moet', [], True), 'rtrc.bin': ('rtrc', [], True),
    'q4rt.bin': ('q4rt', ['--top-k', '6'], False), 'k3_pairs.bin': ('k3_pairs', ['--as', 'k3_pairs', '--top-k', '6'], True),
    'fuctrce1.bin': ('fuctrace', ['--top-k', '6'], True), 'ggml_moe_trace_fnv.bin': ('ggml_fnv', [], False),
}


# what is said of the order of ids, in one way or another
ORDERS = ["the router's", 'by falling', 'in order of weight', 'stand in no order', 'best first', 'in its order']


def neutral(path, options=(), folder=None):
    """[(phase, [(layer, ids)...])...] of a file, token by token, by way of a native file and neutral CSV."""
    native = os.path.join(folder, 'x.h5')
    done = subprocess.run([tool.TOOL, 'trace', 'import', path, '-o', native] + list(options), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    text = tool.command([tool.TOOL, 'trace', 'export', native, '-o', '-'])
    tokens, last = [], None
    for row in csv.DictReader(io.StringIO(text)):
        key = (row['request_id'], row['token_index']) if 'token_index' in row else (row['batch_pos'], row['step'])
        if key != last:
            tokens.append((row['phase'], []))
            last = key
        width = sum(1 for name in row if name[0] == 'e' and name[1:].isdigit())
        tokens[-1][1].append((int(row['layer']), [int(row['e%d' % i]) for i in range(width) if row['e%d' % i] != '']))
    return tokens


def known():
    return {row['name'] for row in json.loads(tool.command([tool.TOOL, 'trace', 'formats', '--json'])) if row['read']}


# ---- the same routing in formats of which there is no sample ----

def passes(tokens):
    """The prompt as one forward pass, then every generated token as one: [(phase, first token, [row of layers]...)...]."""
    prompt = [t for t in tokens if t[0] == 'P']
    yield ('P', 0, [t[1] for t in prompt])
    for i, t in enumerate(tokens[len(prompt):]):
        yield ('D', len(prompt) + i, [t[1]])


def by_layer(tokens):
    """Rows in the order in which an engine computes them: (phase, first, tokens of the pass, token in it, layer, ids)."""
    for phase, first, rows in passes(tokens):
        for l in range(len(rows[0])):
            for t, row in enumerate(rows):
                yield phase, first, len(rows), t, row[l][0], row[l][1]


def llama_trace(tokens):
    return ''.join('%d,%d\n' % (layer, e) for _, _, _, _, layer, ids in by_layer(tokens) for e in ids)


def okuvshynov(tokens):
    return 'layer_id,expert_ids\n' + ''.join('%d,%s\ngate_input,%d,0,0.5\n' % (layer, ' '.join(map(str, ids)), layer) for _, _, _, _, layer, ids in by_layer(tokens))


def kimi_linear(tokens):
    names = ','.join('e%d' % i for i in range(len(tokens[0][1][0][1])))
    return '# phase,n_tokens,layer,token_idx,%s,start_pos\n' % names + ''.join(
        '%s,%d,%d,%d,%s,%d\n' % ('prefill' if phase == 'P' else 'decode', n, layer, t, ','.join(map(str, ids)), first)
        for phase, first, n, t, layer, ids in by_layer(tokens))


def moepager(tokens):
    return 'token,layer,expert,t_ns\n' + ''.join('%d,%d,%d,%d\n' % (first + t, layer, e, 1000) for _, first, _, t, layer, ids in by_layer(tokens) for e in ids)


def moe_trace_fork(tokens):
    return 'phase,token,layer,rank,expert\n' + ''.join('%s,%d,%d,%d,%d\n' % ('prefill' if phase == 'P' else 'decode', first + t, layer, i, e)
        for phase, first, _, t, layer, ids in by_layer(tokens) for i, e in enumerate(ids))


def triples(tokens):
    """All tokens of a layer, then of the next: what no engine computes, but hooks write."""
    return 'token,layer,expert\n' + ''.join('%d,%d,%d\n' % (t, tokens[0][1][l][0], e)
        for l in range(len(tokens[0][1])) for t, token in enumerate(tokens) for e in token[1][l][1])


def moe_beyond(tokens):
    texts = ['a', 'say "no"', 'x, y', 'two\nlines', '"', 'caf\u00e9']
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(['Layer ID', 'Batch Number', 'Token', 'Activated Expert IDs'])
    for l in range(len(tokens[0][1])):
        for t, token in enumerate(tokens):
            writer.writerow([token[1][l][0], 0, texts[t % len(texts)], token[1][l][1]])
    return out.getvalue()


def lark(tokens):
    rows, seq = ['seq,expert_bytes,tensor_base,expert_idx,tensor'], 0
    for token in tokens:
        for layer, ids in token[1]:
            for matrix in ('up', 'gate', 'down'):
                for e in ids:
                    seq += 1
                    rows.append('%d,4608,0x0,%d,blk.%d.ffn_%s_exps.weight' % (seq, e, layer, matrix))
    return '\n'.join(rows) + '\n'


# writer, format, options, phases as they will be read: as they are (None) or all of one kind
WRITTEN = [
    (llama_trace, 'llama_trace', ['--top-k', '6'], None), (okuvshynov, 'okuvshynov', [], None), (kimi_linear, 'kimi_linear', [], None), (moepager, 'moepager', [], 'D'),
    (moe_trace_fork, 'moepager', [], None), (triples, 'moepager', [], 'D'), (moe_beyond, 'moe_beyond', [], 'P'), (lark, 'lark', ['--top-k', '6'], 'D'),
]


def rephased(tokens, phase):
    return [(phase or p, rows) for p, rows in tokens]


# ---- what is asked for against what a file says ----

# named by its head or first row; the others take any number of experts from --experts and hold the ids against it
SAY_EXPERTS = {'bigmoeonedge.route.csv', 'moe-cache-lab.v1.jsonl', 'stratamoe.v2.json', 'onnx-genai.json', 'moet.trace', 'rtrc.bin', 'q4rt.bin'}
ARRAYS = {'routing.npy', 'demand_u32hdr_u16.bin', 'ds4.ids.bin'}


def fault(path, options):
    """What trace info says of a file that it does not take; '' when it does."""
    done = subprocess.run([tool.TOOL, 'trace', 'info', path] + options, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode != 0 else ''


def asked(check, folder):
    """Nothing that is asked for is passed over: it agrees with the file, or the error has both numbers. The routing is of 30 layers, 128 experts, 6 in a row."""
    native, jsonl, neutral_csv = (os.path.join(folder, name) for name in ('asked.h5', 'asked.jsonl', 'asked.csv'))
    tool.command([tool.TOOL, 'trace', 'import', tool.trace('formats', 'bigmoeonedge.route.csv'), '-o', native])
    tool.command([tool.TOOL, 'trace', 'export', native, '--as', 'jsonl', '-o', jsonl])
    tool.command([tool.TOOL, 'trace', 'export', native, '-o', neutral_csv])
    files = [(tool.trace('formats', name), options, name in SAY_EXPERTS, name in ARRAYS) for name, (_, options, _) in SAMPLES.items()]
    files += [(native, [], True, False), (jsonl, [], True, False), (neutral_csv, [], False, False)]
    for path, options, says, array in files:
        name = os.path.basename(path)
        without = [o for i, o in enumerate(options) if o not in ('--top-k', '--layers') and options[i - 1:i] not in (['--top-k'], ['--layers'])]
        check.equal(name + ' as it is', fault(path, without + ['--experts', '128', '--layers', '30', '--top-k', '6']), '')
        few, many = fault(path, options + ['--experts', '100']), fault(path, options + ['--experts', '160'])
        check.equal(name + ' with too few experts', ('128' in few and '100' in few) if says else 'is above 99, the highest' in few or 'is not 0 to 99' in few, True)
        check.equal(name + ' with too many experts', ('128' in many and '160' in many) if says else many == '', True)
        if '--layers' not in options:
            wrong = fault(path, options + ['--layers', '7'])
            check.equal(name + ' with other layers', '30' in wrong and '7' in wrong, True)
        if '--top-k' not in options and name not in ('ds4.ids.bin', 'ggml_moe_trace_fnv.bin', 'nntr.txt'):      # there it says how to read
            wrong = fault(path, options + ['--top-k', '3'])
            check.equal(name + ' with another top-k', '6' in wrong and '3' in wrong, True)
        if not array:
            check.equal(name + ' has no axes', '--axes ltk is for npy' in fault(path, options + ['--axes', 'ltk']), True)
    demand = open(tool.trace('formats', 'demand_u32hdr_u16.bin'), 'rb').read()
    tokens, layers, k = struct.unpack_from('<3I', demand)
    rows = [demand[at:at + 2 * k] for at in range(12, len(demand), 2 * k)]
    turned = os.path.join(folder, 'turned')
    with open(turned, 'wb') as f:
        f.write(demand[:12] + b''.join(rows[t * layers + l] for l in range(layers) for t in range(tokens)))
    check.equal('demand with its layers first', neutral(turned, ['--as', 'demand', '--axes', 'ltk'], folder), neutral(tool.trace('formats', 'demand_u32hdr_u16.bin'), folder=folder))


def main():
    tool.need_traces()
    check = tool.Check('formats')
    formats = known()
    shape = json.load(open(tool.trace('formats', 'expected.json')))
    with tempfile.TemporaryDirectory() as folder:
        want = neutral(tool.trace('formats', 'bigmoeonedge.route.csv'), folder=folder)
        decode = [t for t in want if t[0] == 'D']
        check.equal('the reference has the expected shape', (len(want) - len(decode), len(decode), len(want[0][1]), decode[0][1][0][1]),
            (shape['prompt_tokens'], shape['decode_tokens'], shape['layers'], shape['first_decode_layer0']))
        for name, (format, options, prompt) in SAMPLES.items():
            if format not in formats:
                print('formats: %s waits for %s' % (name, format))
                continue
            try:
                got = neutral(tool.trace('formats', name), options, folder)
            except RuntimeError as fault:
                check.equal(name, str(fault), 'loads')
                continue
            same = want if prompt else decode
            check.equal(name + ' tokens and phases', [t[0] for t in got], [t[0] for t in same])
            check.equal(name + ' layers and ids', [t[1] for t in got] == [t[1] for t in same], True)
            if not options:
                info = json.loads(tool.command([tool.TOOL, 'trace', 'info', tool.trace('formats', name), '--json']))
                check.equal(name + ' is known by its content', info['format'], format)
                check.equal(name + ' unions', info['decode_union_accesses'], shape['decode_union_accesses'])
            said = subprocess.run([tool.TOOL, 'trace', 'import', tool.trace('formats', name), '-o', os.path.join(folder, 'x.h5')] + options, capture_output=True, text=True).stderr
            check.equal(name + ' says how ids stand in a row', format == 'route_trace' or any(word in said for word in ORDERS), True)    # its slots are ranks
        for write, format, options, phase in WRITTEN:
            path = os.path.join(folder, 'written')
            with open(path, 'w', newline='') as f:
                f.write(write(want))
            name = write.__name__
            check.equal(name + ' ids', neutral(path, options, folder) == rephased(want, phase), True)
            info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path, '--json'] + options))
            check.equal(name + ' is known by its content', info['format'], format)
            check.equal(name + ' says what it assumed', bool(info.get('assumed')), True)
            if name == 'lark':
                check.equal('lark bytes of an expert', info['expert_bytes']['least'], 3 * 4608)
        asked(check, folder)
    check.close()


if __name__ == '__main__':
    main()
