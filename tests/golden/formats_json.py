"""JSON formats: the shared routing written in each as its engine writes it, and read back id by id."""
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import tool
from formats import by_layer, neutral, passes, rephased


def lines(records):
    return ''.join(json.dumps(record) + '\n' for record in records)


def cube(tokens):
    return [[ids for _, ids in rows] for _, rows in tokens]


def flat(tokens, dense=0):
    """base64 of int32 [token][layer][rank], with layers of zeros before the others as for dense layers"""
    numbers = []
    for rows in cube(tokens):
        numbers += [0] * dense * len(rows[0]) + [e for ids in rows for e in ids]
    return base64.b64encode(struct.pack('<%di' % len(numbers), *numbers)).decode()


def split(tokens):
    return [t for t in tokens if t[0] == 'P'], [t for t in tokens if t[0] == 'D']


def lattice(tokens):
    weights = [0.359193, 0.191479, 0.168647, 0.0999276, 0.0936178, 0.0871351]
    return lines({'layer_idx': layer, 'token_idx': t, 'selected_ids': ids, 'gate_weights': weights} for t, (_, rows) in enumerate(tokens) for layer, ids in rows)


def imp(tokens):
    return json.dumps({'top_k': 6, 'trace': [[layer] + ids for _, rows in tokens for layer, ids in rows]})


def imp_flat(tokens):
    return json.dumps({'entries': [n for _, rows in tokens for layer, ids in rows for n in [layer] + ids], 'top_k': 6})


def moe_cache_lab(tokens):
    event = lambda phase, t, layer, ids: {'record_type': 'routing_selection', 'phase': phase, 'token_position': t, 'layer': layer, 'selected_experts': ids}
    meta = {'record_type': 'metadata', 'format': 'moe-cache-lab.routing-jsonl', 'format_version': 1, 'model_id': 'm'}
    return lines([meta] + [event('prompt' if phase == 'P' else 'generated', first + t, layer, ids) for phase, first, _, t, layer, ids in by_layer(tokens)])


def stratamoe(tokens):
    return json.dumps({'version': 2, 'source': {'kind': 'recorded'}, 'expertsPerLayer': 128, 'topK': 6, 'selections': cube(tokens)})


def onnx_genai(tokens):
    prompt, decode = split(tokens)
    return json.dumps({'num_layers': 30, 'num_experts': 128, 'prompts': {'p': {'decode': cube(decode), 'prefill': cube(prompt)}}})


def vllm_answer(tokens):
    prompt, decode = split(tokens)
    return json.dumps({'id': 'c', 'object': 'text_completion', 'model': 'm', 'choices': [{'index': 0, 'text': 'x' * 300, 'routed_experts': cube(decode)}],
        'usage': {'prompt_tokens': len(prompt), 'completion_tokens': len(decode) + 1}, 'prompt_routed_experts': cube(prompt)}, indent=1)


def vllm_outputs(tokens):
    prompt, _ = split(tokens)
    return lines([{'prompt_token_ids': [100000 + i for i in range(len(prompt))], 'outputs': [{'routed_experts': cube(tokens)}]}])


def sglang_answer(tokens):
    prompt, decode = split(tokens)
    return json.dumps({'text': 'x', 'meta_info': {'routed_experts': flat(tokens), 'prompt_tokens': len(prompt), 'completion_tokens': len(decode) + 1}})


def sglang_dense(tokens):
    prompt, decode = split(tokens)
    return json.dumps([{'sglext': {'routed_experts': flat(tokens, 2)}, 'usage': {'prompt_tokens': len(prompt), 'completion_tokens': len(decode) + 1}}])


def lightllm_answer(tokens):
    shape = [len(tokens), len(tokens[0][1]), len(tokens[0][1][0][1])]
    return json.dumps({'routed_experts': {'shape': shape, 'dtype': 'int32', 'data': flat(tokens)}, 'prompt_tokens': 6})


def npy(tokens, descr='<i2', code='h'):
    """numpy.save in base64."""
    numbers = [e for _, rows in tokens for _, ids in rows for e in ids]
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d, %d), }" % (descr, len(tokens), len(tokens[0][1]), len(tokens[0][1][0][1]))
    head += ' ' * (-(len(head) + 11) % 64) + '\n'
    return base64.b64encode(b'\x93NUMPY\x01\0' + struct.pack('<H', len(head)) + head.encode() + struct.pack('<%d%s' % (len(numbers), code), *numbers)).decode()


def vllm_npy(tokens):
    """vLLM 0.22: the choice has prompt and text, /v1/chat/completions."""
    prompt, decode = split(tokens)
    return json.dumps({'id': 'c', 'object': 'chat.completion', 'model': 'm', 'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': 'x' * 300}, 'routed_experts': npy(tokens, '<i4', 'i')}],
        'usage': {'prompt_tokens': len(prompt), 'completion_tokens': len(decode) + 1}})


def vllm_npy_apart(tokens):
    prompt, decode = split(tokens)
    return json.dumps({'prompt_routed_experts': npy(prompt, '|u1', 'B'), 'choices': [{'text': 'x', 'routed_experts': npy(decode)}], 'usage': {'prompt_tokens': len(prompt)}})


def dynamo_answer(tokens):
    prompt, decode = split(tokens)
    shape = [len(tokens), len(tokens[0][1]), len(tokens[0][1][0][1])]
    data = base64.b64encode(struct.pack('<%dh' % (shape[0] * shape[1] * shape[2]), *[e for _, rows in tokens for _, ids in rows for e in ids])).decode()
    return json.dumps({'choices': [{'routed_experts': {'data': data, 'shape': shape, 'dtype': 'int16', 'start': 0}}], 'usage': {'prompt_tokens': len(prompt), 'completion_tokens': len(decode) + 1}})


def vllm_log(tokens):
    meta = {'type': 'meta', 'model_id': 'm', 'layers_logged': [0], 'top_k': 6, 'num_experts': 128}
    row = lambda t, layer, ids: {'type': 'route', 'req_id': 'r1', 'token_idx': t, 'layer': layer, 'topk_ids': ids, 'topk_weights': [0.1] * 6}
    start = [row(t, 0, [5, 4, 3, 2, 1, 0]) for n in (8192, 256) for t in range(n)]
    return lines([meta] + start + [row(t, layer, ids) for _, _, _, t, layer, ids in by_layer(tokens)])


def joined_layers(tokens, folder):
    """A log of each layer, as vLLM's loggers write them, joined by the program of traces/FORMAT.md."""
    text = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'traces', 'FORMAT.md')).read()
    program = text[text.index('# join.py'):]
    log, paths = [json.loads(line) for line in vllm_log(tokens).splitlines()], []
    start = log[1]['topk_ids']              # the rows of start-up, which every layer has
    for layer in sorted({layer for _, rows in tokens for layer, _ in rows}):
        paths.append(os.path.join(folder, 'layer%d.jsonl' % layer))
        with open(paths[-1], 'w') as f:
            f.write(lines(log[:1] + [dict(row, layer=layer) for row in log[1:] if row['layer'] == layer or row['topk_ids'] == start]))
    return subprocess.run([sys.executable, '-c', program[:program.index('```')]] + paths, capture_output=True, text=True, check=True).stdout


def megatron(tokens):
    records = []
    for step, (_, _, rows) in enumerate(passes(tokens)):
        for l in range(len(rows[0])):
            one = {'step': step, 'stage': 'pre_dispatch', 'block': 'decoder', 'layer': rows[0][l][0], 'rank': 3, 'num_tokens': len(rows), 'topk': 6, 'top_indices': [row[l][1] for row in rows]}
            records.append(one)
        records.append(dict(one, block='mtp', mtp_idx=0, layer=0))
    return lines(records)


def speculative_moe(tokens):
    return lines({'dataset': 'gsm8k', 'problem_id': 7, 'layer': layer, 'experts': ids, 'gating_probs': [0.3, 0.2, 0.2, 0.1, 0.1, 0.1], 'token_idx': t}
        for t, (_, rows) in enumerate(tokens) for layer, ids in rows)


def moe_sim(tokens):
    return lines({'request_id': 1, 'phase': 'prefill' if phase == 'P' else 'decode', 'step_id': first, 'token_position': first + t, 'layer_id': layer, 'expert_ids': ids}
        for phase, first, _, t, layer, ids in by_layer(tokens))


def step_lists(tokens):
    return json.dumps([{'99': None, **{str(rows[0][l][0]): [row[l][1] for row in rows] for l in range(len(rows[0]))}} for _, _, rows in passes(tokens)])


def moelens(tokens):
    layer = lambda l: {'layer': tokens[0][1][l][0], 'is_dense': False, 'tokens': [{'token_index': t, 'top_experts': rows[l][1], 'top_weights': [0.2] * 6, 'all_probs': [1 / 128] * 128}
        for t, (_, rows) in enumerate(tokens)]}
    return json.dumps({'prompt': 'x', 'layers': [layer(l) for l in range(len(tokens[0][1]))] + [{'layer': 99, 'is_dense': True, 'tokens': []}]})


def expert_fingerprint(tokens):
    return json.dumps([{'full_text': ['x'] * 20, 'router_data': [{'token_%d' % (t + 195): {'layer_%d' % layer: {'selected_experts': ids, 'selected_probs': [0.2] * 6} for layer, ids in rows}}
        for t, (_, rows) in enumerate(tokens)]}], indent=2)


def ik_llama(tokens):
    return lines([{'type': 'meta', 'version': 1}, {'type': 'model', 'n_expert': 128}] + [{'type': 'route', 'batch_index': t, 'pos': first + t, 'input_token_id': 1, 'layer': layer,
        'n_expert': 128, 'selected': [{'expert': e, 'selection_score': 1.0, 'weight': 0.2} for e in ids]} for _, first, _, t, layer, ids in by_layer(tokens)] + [{'type': 'end', 'complete': True}])


# writer, format, options, phases as they will be read: as they are (None) or all of one kind
WRITTEN = [
    (lattice, 'lattice', [], 'D'), (imp, 'imp', [], 'D'), (imp_flat, 'imp', [], 'D'), (moe_cache_lab, 'moe_cache_lab', [], None), (stratamoe, 'stratamoe', [], 'D'),
    (onnx_genai, 'onnx_genai', [], None),
    (vllm_answer, 'routed_experts', [], None), (vllm_outputs, 'routed_experts', [], None), (sglang_answer, 'routed_experts', ['--layers', '30', '--top-k', '6'], None),
    (sglang_answer, 'routed_experts', ['--top-k', '6'], None), (sglang_dense, 'routed_experts', ['--layers', '32'], None), (lightllm_answer, 'routed_experts', [], None),
    (vllm_npy, 'routed_experts', [], None), (vllm_npy_apart, 'routed_experts', [], None), (dynamo_answer, 'routed_experts', [], None),
    (vllm_log, 'vllm_log', [], None), (megatron, 'megatron', [], None), (speculative_moe, 'speculative_moe', [], 'D'), (moe_sim, 'moe_sim', [], None),
    (step_lists, 'step_lists', [], None), (moelens, 'moelens', [], 'P'), (expert_fingerprint, 'expert_fingerprint', [], 'D'), (ik_llama, 'ik_llama', [], None),
]


def renumbered(tokens, shift):
    return [(phase, [(layer + shift, ids) for layer, ids in rows]) for phase, rows in tokens]


def main():
    tool.need_traces()
    check = tool.Check('formats_json')
    with tempfile.TemporaryDirectory() as folder:
        want = neutral(tool.trace('formats', 'bigmoeonedge.route.csv'), folder=folder)
        for write, format, options, phase in WRITTEN:
            path, name = os.path.join(folder, 'written'), write.__name__
            with open(path, 'w') as f:
                f.write(write(want))
            expected = renumbered(rephased(want, phase), 2 if write is sglang_dense else 0)
            check.equal(name + ' ids', neutral(path, options, folder) == expected, True)
            info = json.loads(tool.command([tool.TOOL, 'trace', 'info', path, '--json'] + options))
            check.equal(name + ' is known by its content', info['format'], format)
            check.equal(name + ' says what it assumed', bool(info.get('assumed')), True)
            check.equal(name + ' requests', info['requests'], 1)
        joined = os.path.join(folder, 'joined')
        with open(joined, 'w') as f:
            f.write(joined_layers(want, folder))
        check.equal('logs of one layer each, joined', neutral(joined, [], folder) == want, True)
    check.close()


if __name__ == '__main__':
    main()
