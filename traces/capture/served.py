#!/usr/bin/env python3
"""Asks a running vLLM or SGLang server for text and keeps the routing that it returns, as a native trace.

    vllm serve MODEL --enable-return-routed-experts                 (0.21 or later; ids are the model's own, not the balancer's)
    served.py http://localhost:8000 --prompts prompts.txt -o trace.h5

    python -m sglang.launch_server --model-path MODEL --enable-return-routed-experts
    served.py http://localhost:30000 --sglang --top-k 8 --prompts prompts.txt -o trace.h5

Prompts stand one on a line, or one a line as JSON {"prompt": "..."}. They are asked for one after the other, so each is a request whose
prompt is one step and whose every generated token is one. The token sampled last was never routed and is not in the trace. Servers
return no gate weights. SGLang returns all decoder layers in one row of numbers: --top-k divides it; layers whose rows repeat one number
are dense, are left out and told. Needs h5py."""
import argparse
import base64
import io
import json
import sys
import urllib.error
import urllib.request

import numpy as np

from native import Writer


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=3600) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f'{url}: {error.code} {error.reason}: {error.read(500).decode(errors="replace")}')
    except urllib.error.URLError as error:
        sys.exit(f'{url}: {error.reason}')


def array(value):
    """Lists (vLLM 0.21), or base64 of what numpy.save wrote (0.22 and later)."""
    return np.load(io.BytesIO(base64.b64decode(value)), allow_pickle=False).astype(int) if isinstance(value, str) else np.array(value, int)


def ask_vllm(args, prompt):
    """Experts of the prompt's tokens and of those generated, [tokens, layers, top_k] each."""
    answer = post(args.server + '/v1/completions', {'prompt': prompt, 'max_tokens': args.tokens, 'temperature': args.temperature, 'seed': args.seed,
                                                    **({'model': args.model} if args.model else {})})
    args.model = args.model or answer.get('model', '')
    choice = answer['choices'][0]
    before, after = answer.get('prompt_routed_experts'), choice.get('routed_experts')
    if after is None:
        sys.exit(f'{args.server}: the answer has no routed_experts; start vLLM (0.21 or later) with --enable-return-routed-experts')
    after = array(after)
    if before is None:                  # 0.22 and later: prompt and text are one array
        words = answer.get('usage', {}).get('prompt_tokens', 0)
        if not 0 < words <= len(after):
            sys.exit(f'{args.server}: routed_experts has {len(after)} rows, which must have those of the prompt, {words} tokens by usage.prompt_tokens')
        before, after = after[:words], after[words:]
    before = array(before)
    if before.ndim != 3:
        sys.exit(f'{args.server}: the routing has {before.ndim} dimensions, needs 3: [tokens, layers, top_k]')
    return before, after.reshape(-1, *before.shape[1:])


def ask_sglang(args, prompt):
    answer = post(args.server + '/generate', {'text': prompt, 'return_routed_experts': True, 'sampling_params': {
        'max_new_tokens': args.tokens, 'temperature': args.temperature}})
    meta = answer['meta_info']
    if not meta.get('routed_experts'):
        sys.exit(f'{args.server}: the answer has no meta_info.routed_experts; start SGLang with --enable-return-routed-experts')
    flat = np.frombuffer(base64.b64decode(meta['routed_experts']), '<i4')
    tokens = meta['prompt_tokens'] + meta['completion_tokens'] - 1
    if tokens < 1 or len(flat) % (tokens * args.top_k):
        sys.exit(f'{args.server}: routed_experts has {len(flat)} numbers, not a multiple of {tokens} tokens (prompt {meta["prompt_tokens"]} and completion '
                 f'{meta["completion_tokens"]} less one) times top-k {args.top_k}; is --top-k right?')
    ids = flat.reshape(tokens, -1, args.top_k).astype(int)
    return ids[:meta['prompt_tokens']], ids[meta['prompt_tokens']:]


def prompts_of(path):
    with open(path) as file:
        lines = [line.rstrip('\n') for line in file if line.strip()]
    if not lines:
        sys.exit(f'{path}: no prompt stands in it')
    return [json.loads(line)['prompt'] if line.startswith('{') else line for line in lines]


def whole(asked):
    """All answers have one shape; the layers that route."""
    layers, top_k = asked[0][0].shape[1:]
    for n, (before, after) in enumerate(asked):
        if before.shape[1:] != (layers, top_k) or after.shape[1:] != (layers, top_k):
            sys.exit(f'prompt {n + 1}: {before.shape[1]} layers of top-{before.shape[2]} where {layers} of top-{top_k} came before')
    rows = np.concatenate([part for pair in asked for part in pair])
    routed = [layer for layer in range(layers) if (rows[:, layer] >= 0).any() and (top_k == 1 or (rows[:, layer] != rows[:, layer, :1]).any())]
    if not routed:
        sys.exit('no layer routes: every row repeats one number')
    return rows, routed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('server', type=lambda url: url.rstrip('/'))
    parser.add_argument('--prompts', required=True)
    parser.add_argument('-o', '--out', required=True)
    parser.add_argument('--sglang', action='store_true')
    parser.add_argument('--model', default='', help='as the server names it')
    parser.add_argument('--tokens', type=int, default=128, help='generated at most for each prompt')
    parser.add_argument('--temperature', type=float, default=0.7)
    parser.add_argument('--seed', type=int, default=1, help='vLLM only')
    parser.add_argument('--experts', type=int, default=0, help='of each layer; else the highest that is seen and those below')
    parser.add_argument('--top-k', type=int, default=0, help='SGLang: experts of a token')
    args = parser.parse_args()
    if args.sglang and args.top_k < 1:
        parser.error('--sglang needs --top-k: its answers are one row of numbers')
    asked = []
    for n, prompt in enumerate(prompts_of(args.prompts)):
        asked.append((ask_sglang if args.sglang else ask_vllm)(args, prompt))
        print(f'prompt {n + 1}: {len(asked[-1][0])} tokens, {len(asked[-1][1])} generated', file=sys.stderr)
    rows, routed = whole(asked)
    dense = sorted(set(range(rows.shape[1])) - set(routed))
    if dense:
        print(f'left out: layers {dense}, whose rows repeat one number (dense)', file=sys.stderr)
    about = {'from': 'sglang' if args.sglang else 'vllm', 'server': 'routed_experts', 'order': 'as the server returns it', 'temperature': args.temperature,
             'left_out_layers': dense}
    with Writer(args.out, model=args.model, layer_number=routed, experts=args.experts or int(rows.max()) + 1, top_k=rows.shape[2], provenance=about) as trace:
        for request, (before, after) in enumerate(asked):
            trace.step([request] * len(before), range(len(before)), [0] * len(before), before[:, routed])
            for n, row in enumerate(after):
                trace.step([request], [len(before) + n], [1], row[None, routed])


if __name__ == '__main__':
    main()
