"""Seeds of the JSON readers. "small" of every format: the two prompt tokens (where it has prompts) and two generated ones in two layers
of four experts, two used, which a test cuts at every byte."""
import base64
import json
import struct

import seeds_binary

PROMPT = [[[0, 3], [1, 0]], [[2, 1], [3, 2]]]           # [token][layer][rank]
DECODE = [[[0, 1], [2, 3]], [[3, 0], [1, 2]]]
TOKENS = PROMPT + DECODE
WEIGHTS = [0.75, 0.25]


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def cells(tokens, by_layer=False):
    """(token, layer, ids)"""
    if by_layer:
        return [(t, l, tokens[t][l]) for l in range(2) for t in range(len(tokens))]
    return [(t, l, tokens[t][l]) for t in range(len(tokens)) for l in range(2)]


def lattice(rows):
    return lines({"layer_idx": l, "token_idx": t, "selected_ids": ids, "gate_weights": WEIGHTS} for t, l, ids in rows)


def lab(version):
    meta = {"record_type": "metadata", "format": "moe-cache-lab.routing-jsonl", "format_version": version, "model_id": "m"}
    event = {"record_type": "routing_selection"}
    if version == 1:
        meta.update(num_experts=4, experts_per_token=2)
        rows = [("prompt", t, l, ids) for t, l, ids in cells(PROMPT, True)] + [("generated", t + 2, l, ids) for t, l, ids in cells(DECODE)]
        return lines([meta] + [dict(event, phase=p, token_position=t, layer=l, selected_experts=ids) for p, t, l, ids in rows])
    meta["routing_stages"] = [{"routing_stage": s, "num_experts": 4, "assigned_experts_per_token": 1, "allows_unassigned": True} for s in ("encoder", "decoder")]
    rows = [("encoder", "source", 0, [3]), ("encoder", "source", 1, [2]), ("decoder", "decoder_prompt", 0, [1]), ("decoder", "decoder_generated", 1, []), ("decoder", "decoder_generated", 2, [0])]
    return lines([meta] + [dict(event, routing_stage=s, phase=p, token_position=t, layer=1, assignment_state="assigned" if ids else "unassigned", selected_experts=ids,
        selected_probabilities=[0.5] * len(ids)) for s, p, t, ids in rows])


def flat(tokens):
    return base64.b64encode(b"".join(struct.pack("<i", e) for token in tokens for ids in token for e in ids)).decode()


def flat_npy(tokens):
    data = b"".join(struct.pack("<h", e) for token in tokens for ids in token for e in ids)
    return base64.b64encode(seeds_binary.npy("<i2", "(%d, 2, 2)" % len(tokens), data)).decode()


def passes():
    """(tokens of the pass, token in it, layer, ids), as an engine computes them"""
    for tokens in (PROMPT, DECODE[:1], DECODE[1:]):
        for t, l, ids in cells(tokens, True):
            yield tokens, t, l, ids


def vllm_log(start):
    meta = {"type": "meta", "model_id": "m", "layers_logged": [0, 1], "top_k": 2, "num_experts": 4}
    rows = [(t, 0, [1, 0]) for n in start for t in range(n)] + [(t, l, ids) for _, t, l, ids in passes()]
    return lines([meta] + [{"type": "route", "req_id": "r0", "token_idx": t, "layer": l, "topk_ids": ids, "topk_weights": WEIGHTS} for t, l, ids in rows])


def megatron():
    records = [{"step": s, "stage": "pre_dispatch", "block": "decoder", "layer": l, "rank": 0, "num_tokens": len(tokens), "topk": 2, "top_indices": [t[l] for t in tokens]}
        for s, tokens in enumerate((PROMPT, DECODE[:1], DECODE[1:])) for l in range(2)]
    return records, dict(records[0], block="mtp", mtp_idx=0)


def ik_llama(complete):
    rows, at = [], 0
    for tokens in (PROMPT, DECODE[:1], DECODE[1:]):
        rows += [{"type": "route", "batch_index": t, "pos": at + t, "input_token_id": 9, "layer": l, "n_expert": 4,
            "selected": [{"expert": e, "selection_score": 1.5, "weight": w} for e, w in zip(ids, WEIGHTS)]} for t, l, ids in cells(tokens, True)]
        at += len(tokens)
    return lines([{"type": "meta", "version": 1}, {"type": "model", "model": "m", "n_expert_used": 2}] + rows + [{"type": "end", "complete": complete}])


def moelens():
    return json.dumps({"layers": [{"layer": 0, "is_dense": True, "tokens": []}] + [{"layer": l + 1, "is_dense": False, "tokens": [
        {"token_index": t, "top_experts": token[l], "top_weights": WEIGHTS, "all_probs": [0.5, 0, 0.25, 1e-3]} for t, token in enumerate(PROMPT)]} for l in range(2)]})


def fingerprint():
    return json.dumps([{"full_text": ["a", "\u00e9"], "router_data": [{"token_%d" % (t + 7): {"layer_%d" % l: {"selected_experts": token[l], "selected_probs": WEIGHTS} for l in range(2)}}
        for t, token in enumerate(DECODE)]}])


MEGATRON, MTP = megatron()
SIM = [{"request_id": 1, "phase": "prefill" if t < 2 else "decode", "step_id": max(t - 1, 0), "token_position": t, "layer_id": l, "expert_ids": ids} for t, l, ids in cells(TOKENS)]
SEEDS = {
    "lattice": {"small": lattice(cells(DECODE)), "layers": lattice(cells(DECODE, True)), "none": "\n", "twice": lattice(cells(DECODE) + cells(DECODE)),
                "other": '{"x":{"y":[1,"\\u00e9\\n",null,true,-1.5e-3]},"layer_idx":0,"token_idx":4294967294,"selected_ids":[65534]}'},
    "imp": {"small": json.dumps({"top_k": 2, "trace": [[l] + ids for _, l, ids in cells(DECODE)]}), "rows": json.dumps([[l] + ids for _, l, ids in cells(DECODE)]),
            "behind": json.dumps({"data": [n for _, l, ids in cells(DECODE) for n in [l] + ids], "top_k": 2})},
    "moe_cache_lab": {"small": lab(1), "stages": lab(2)},
    "stratamoe": {"small": json.dumps({"version": 2, "source": {"kind": "synthetic"}, "tokens": 2, "layers": 2, "expertsPerLayer": 4, "topK": 2, "selections": DECODE}),
                  "behind": json.dumps({"selections": DECODE, "topK": 2, "version": 2})},
    "onnx_genai": {"small": json.dumps({"num_layers": 2, "num_experts": 4, "top_k": 2, "prompts": {"p": {"prompt_len": 2, "prefill": PROMPT, "decode": DECODE}}}),
                   "behind": json.dumps({"prompts": {"p": {"decode": DECODE, "prefill": PROMPT}, "q": {"decode": DECODE, "prompt_len": 9}}})},
    "routed_experts": {"small": json.dumps({"choices": [{"routed_experts": DECODE}], "usage": {"prompt_tokens": 2, "completion_tokens": 3}, "prompt_routed_experts": PROMPT}),
                       "sglang": json.dumps({"text": "x", "meta_info": {"prompt_tokens": 2, "completion_tokens": 3, "routed_experts": flat(TOKENS)}}),
                       "lightllm": json.dumps([{"routed_experts": {"data": flat(DECODE), "shape": [2, 2, 2], "dtype": "int32"}}]),
                       "choices": lines([{"outputs": [{"routed_experts": DECODE}, {"routed_experts": None}], "prompt_token_ids": [1, 200000]}, {"sglext": {"routed_experts": flat(PROMPT)}}]),
                       "empty": json.dumps({"text": "x", "completion_tokens": 3, "routed_experts": ""}),
                       "empty_shape": json.dumps({"routed_experts": {"data": "", "shape": [2, 1, 2], "dtype": "int32"}}),
                       "npy": json.dumps({"routed_experts": flat_npy(DECODE)}),
                       "none": json.dumps({"routed_experts": [[[1, -1], [3, 0]], [[-1, -1], [2.0, 3e0]]]})},
    "vllm_log": {"small": vllm_log([]), "start": vllm_log([3, 2])},
    "megatron": {"small": lines(MEGATRON), "mtp": lines(MEGATRON[:1] + [MTP] + MEGATRON[1:]), "batches": lines(MEGATRON[2:4] + MEGATRON[2:4])},
    "speculative_moe": {"small": lines({"dataset": "a", "problem_id": 3, "layer": l, "experts": ids, "gating_probs": WEIGHTS, "token_idx": t} for t, l, ids in cells(DECODE)),
                        "names": lines({"problem_id": "x", "layer": l, "experts": ids, "token_idx": t} for t, l, ids in cells(DECODE, True))},
    "moe_sim": {"small": lines(SIM), "names": lines(dict(one, request_id="r", phase="unknown") for one in SIM)},
    "step_lists": {"small": json.dumps([{"0": None, "1": [t[0] for t in PROMPT], "2": [t[1] for t in PROMPT]}] + [{"0": None, "1": [t[0]], "2": [t[1]]} for t in DECODE]),
                   "plain": json.dumps([{"1": [[1, 0]]}, {"1": [2, 0]}, {"1": [[3, 0], [1, 2]]}])},
    "moelens": {"small": moelens(), "list": "[%s]" % moelens()},
    "expert_fingerprint": {"small": fingerprint()},
    "ik_llama": {"small": ik_llama(True), "partial": ik_llama(False)},
}
