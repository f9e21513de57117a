"""traces/capture/convert.py: what it makes of recordings of SGLang, of parquet columns and of tensors, by way of the tool that imports it. The rows are
made of plain lists, so neither torch nor pyarrow is needed; where they are there, real files are read as well."""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
sys.dont_write_bytecode = True
import tool

SCRIPT = os.path.join(ROOT, 'traces', 'capture', 'convert.py')
spec = importlib.util.spec_from_file_location('convert', SCRIPT)
convert = importlib.util.module_from_spec(spec)
spec.loader.exec_module(convert)

# two decoder layers, the first dense; 4 logical experts on 6 physical places
MAP = [[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 3, 2]]
DENSE = [[-1, -1], [-1, -1], [-1, -1], [-1, -1]]
DUMP = {'last_physical_to_logical_map': MAP, 'records': [
    {'forward_pass_id': 7, 'forward_mode': 1, 'positions': [0, 1, 2, 0], 'extend_seq_lens': [3, 1], 'topk_ids_of_layer': [DENSE, [[0, 1], [2, 3], [4, 5], [3, 0]]]},
    {'forward_pass_id': 8, 'forward_mode': 2, 'positions': [3, 1], 'extend_seq_lens': None, 'topk_ids_of_layer': [DENSE[:2], [[1, 2], [5, 0]]]},
    {'forward_pass_id': 9, 'forward_mode': 1, 'positions': [0, 1, 4], 'extend_seq_lens': [2], 'topk_ids_of_layer': [DENSE[:3], [[0, 2], [-1, -1], [2, 0]]]},
]}
WANT = """step,request_id,token_index,phase,layer,e0,e1
0,0,0,P,1,3,2
0,0,1,P,1,1,0
0,0,2,P,1,3,2
0,1,0,P,1,0,3
1,0,3,D,1,2,1
1,1,1,D,1,2,3
2,0,4,D,1,1,3
2,2,0,P,1,3,1
"""


def wrong(call, words):
    try:
        call()
    except convert.Wrong as fault:
        return words in str(fault)
    return False


def without(key):
    return [dict(DUMP, records=[dict(r) for r in DUMP['records']], **{key: None})]


def run(*args):
    done = subprocess.run([sys.executable, SCRIPT] + list(args), capture_output=True, text=True)
    return done.returncode, done.stderr


def archives(check, path):
    """numpy.savez puts .npy files into a zip archive."""
    convert.save_npy(path('one.npy'), [[[0, 1], [2, 3]]] * 3)
    with open(path('one.npy'), 'rb') as f:
        array = f.read()

    def npz(name, **arrays):
        with zipfile.ZipFile(path(name), 'w', zipfile.ZIP_DEFLATED) as archive:
            for array_name, data in arrays.items():
                archive.writestr(array_name + '.npy', data)
        return run(path(name), '-o', path('out.npy')) + (open(path('out.npy'), 'rb').read() if os.path.exists(path('out.npy')) else None,)
    code, said, data = npz('several.npz', ids=array, scores=array)
    check.equal('arrays of which none is routed_experts', (code, 'has the arrays ids, scores; none is called routed_experts' in said, data), (2, True, None))
    check.equal('something else', npz('other.npz', ids=b'nothing')[0:3:2], (2, None))
    check.equal('one array', npz('one.npz', anything=array), (0, '', array))
    os.unlink(path('out.npy'))
    code, said, data = npz('named.npz', input_ids=array[:90], routed_experts=array)
    check.equal('routed_experts', (code, said, data), (0, 'assumed: routed_experts is read; input_ids were left out\n', array))
    info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path('out.npy'), '--json']))
    check.equal('as the tool reads it', (info['format'], info['decode_tokens'], info['layers']), ('npy', 3, 2))
    check.equal('as csv', run(path('one.npz'), '-o', path('out.csv'))[0], 2)
    done = subprocess.run([tool.TOOL, 'trace', 'info', path('one.npz')], capture_output=True, text=True)
    check.equal('the tool says who reads it', (done.returncode, 'convert.py' in done.stderr), (2, True))


def real_torch(check, path):
    try:
        import torch
    except ImportError:
        print('convert: torch is not here; .pt files are not read')
        return
    records = [dict(r, topk_ids_of_layer=torch.tensor(r['topk_ids_of_layer'], dtype=torch.int32)) for r in DUMP['records']]
    torch.save({'records': records, 'last_physical_to_logical_map': torch.tensor(MAP)}, path('dump.pt'))
    check.equal('a recording', run(path('dump.pt'), '-o', path('t.csv'))[0], 0)
    check.equal('its rows', open(path('t.csv')).read(), WANT)
    torch.save({'rank': 0, 'logical_count': torch.ones((3, 2, 4), dtype=torch.int32)}, path('stat.pt'))
    code, said = run(path('stat.pt'), '-o', path('stat.csv'))
    check.equal('counts are no trace', (code, 'it is no trace' in said), (2, True))
    check.equal('counts', run(path('stat.pt'), '-o', path('stat.npy'))[0], 0)
    torch.save([torch.zeros((5, 2, 3), dtype=torch.int16), torch.ones((4, 2, 3), dtype=torch.int16)], path('list.pt'))
    check.equal('a list of arrays', (run(path('list.pt'), '-o', path('list.npy'))[0], json.load(open(path('list.lens.json')))), (0, {'lens': [5, 4]}))
    torch.save({'records': records}, path('unmapped.pt'))
    code, said = run(path('unmapped.pt'), '-o', path('x.csv'))
    check.equal('a recording without its map: ' + said, (code, said.startswith('convert.py: unmapped.pt, record 0 (forward pass 7), layer 1, token 0: ')), (2, True))
    torch.save({'records': [{}]}, path('broken.pt'))
    check.equal('an empty record', (run(path('broken.pt'), '-o', path('x.csv')))[0], 2)


def real_parquet(check, path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        print('convert: pyarrow is not here; parquet files are not read')
        return
    for layer in (3, 5):
        pyarrow.parquet.write_table(pyarrow.table({'scores': [[0.5, 0.25], [0.75, 0.125]], 'indices': [[layer, 1], [2, layer]]}), path('layer_%d.parquet' % layer))
    code, said = run(path('layer_3.parquet'), path('layer_5.parquet'), '-o', path('p.csv'))
    check.equal('parquet files of layers', (code, open(path('p.csv')).read().splitlines()[1:3]), (0, ['0,0,0,P,3,3,1,0.5,0.25', '0,0,0,P,5,5,1,0.5,0.25']))


def main():
    check = tool.Check('convert')
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)

        convert.save_csv(path('a.csv'), convert.sglang_rows([DUMP]))
        check.equal('a recording of SGLang', open(path('a.csv')).read(), WANT)
        info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path('a.csv'), '--json']))
        check.equal('as the tool reads it', [info[k] for k in ('requests', 'steps', 'prompt_tokens', 'decode_tokens', 'accesses')], [3, 3, 5, 3, 16])
        convert.save_csv(path('b.csv.gz'), convert.sglang_rows([DUMP, DUMP]))
        info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path('b.csv.gz'), '--json']))
        check.equal('two ranks', [info[k] for k in ('requests', 'steps', 'accesses')], [6, 3, 32])
        check.equal('physical ids without their map', wrong(lambda: convert.sglang_rows(without('last_physical_to_logical_map')), 'dump 0, record 0 (forward pass 7), layer 1, token 0: topk_ids_of_layer holds physical expert ids, here 0, and there is no'), True)
        check.equal('of the second of two files', wrong(lambda: convert.sglang_rows([DUMP] + without('last_physical_to_logical_map'), ['a.pt', 'b.pt']), 'b.pt, record 0 (forward pass 7)'), True)
        check.equal('an id beyond the map', wrong(lambda: convert.sglang_rows([dict(DUMP, last_physical_to_logical_map=[[0], [0]])]), 'layer 1, token 0: physical expert 1 is not in'), True)
        check.equal('two replicas in a row', wrong(lambda: convert.sglang_rows([dict(DUMP, last_physical_to_logical_map=[MAP[0], [3, 2, 1, 0, 0, 2]])]), ''), False)
        check.equal('the map of another moment', wrong(lambda: convert.sglang_rows([dict(DUMP, last_physical_to_logical_map=[MAP[0], [3, 2, 1, 1, 0, 0]])]),
                                                       'record 0 (forward pass 7), layer 1, token 1: physical expert 3 is a replica of expert 1, which the token uses already'), True)
        check.equal('counts', wrong(lambda: convert.sglang_rows([{'records': [{'positions': [0]}]}]), 'counts (per_pass, stat) are no trace'), True)
        table = {'prompt_id': [5, 5, 9], 'pos': [0, 1, 0], 'layer': [2, 2, 2], 'top2_ids': [[1, 0], [3, 2], [0, 3]], 'top4_ids': [[1, 0, 2, 3]] * 3}
        convert.save_csv(path('c.csv'), convert.cached_rows([table, dict(table, layer=[4, 4, 4])]))
        check.equal('cachedMoE', open(path('c.csv')).read().splitlines()[1:4], ['0,0,0,D,2,1,0', '0,0,0,D,4,1,0', '1,0,1,D,2,3,2'])
        flame = [{'indices': [[1, 0], [3, 2], [5, 4], [7, 6]], 'scores': [[0.5, 0.25]] * 4}] * 2
        convert.save_csv(path('d.csv'), convert.flame_rows(flame, [1, 2], 2))
        info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path('d.csv'), '--json']))
        check.equal('FLAME-MoE', [info[k] for k in ('requests', 'prompt_tokens', 'layers', 'experts', 'weights')], [2, 4, 2, 8, True])
        check.equal('layers of other length', wrong(lambda: convert.flame_rows([flame[0], {'indices': [], 'scores': []}], [1, 2], 0), 'each must have all tokens'), True)
        convert.save_npy(path('e.npy'), [[[0, 1], [2, -1]]] * 3, [1, 2])
        head = open(path('e.npy'), 'rb').read()
        check.equal('an array', (head[:6], len(head) % 64, b"'<i2'" in head and b'(3, 2, 2, )' in head), (b'\x93NUMPY', 24, True))
        check.equal('a ragged array', wrong(lambda: convert.save_npy(path('f.npy'), [[[0], [1]], [[0]]]), 'empty or ragged'), True)
        open(path('x.pt'), 'wb').write(b'PK\3\4nothing')
        check.equal('a broken file', run(path('x.pt'), '-o', path('x.csv'))[0], 2)
        for name, make, words in (('folder', lambda p: os.mkdir(p), 'is a folder, not a file'), ('empty.pt', lambda p: open(p, 'w').close(), 'is empty'),
                                  ('a.npy', lambda p: convert.save_npy(p, [[[0, 1]]]), 'is an array already; `expertsim trace import` reads it'), ('none.pt', lambda p: None, 'No such file or directory')):
            make(path(name))
            check.equal(name, run(path(name), '-o', path('x.csv')), (2, 'convert.py: %s: %s\n' % (path(name), words)))
        archives(check, path)
        real_torch(check, path)
        real_parquet(check, path)
    check.close()


if __name__ == '__main__':
    main()
