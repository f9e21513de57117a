#!/usr/bin/env python3
"""Writes the seed corpora: seeds.py TOOL [FOLDER]. TOOL is a built expertsim, which makes the native files from the CSV ones."""
import gzip
import os
import subprocess
import sys

import seeds_json
from seeds_binary import BINARY

CSV = {
    "requests": "request_id,token_index,phase,layer,e0,e1\n0,0,P,0,0,1\n0,0,P,1,3,\n0,1,D,0,2,0\n0,1,D,1,3,2\n7,0,D,0,1,0\n7,0,D,1,0,1\n",
    "batched": "step,batch_pos,phase,layer,e0\n0,0,D,0,1\n0,1,D,0,2\n1,0,D,0,1\n1,1,D,0,0\n",
    "both": "step,request_id,token_index,phase,layer,e0\n0,4,0,P,2,1\n0,4,1,P,2,0\n1,4,2,D,2,1\n1,9,0,D,2,1\n",
    "everything": "\ufeffrequest_id,token_index,phase,layer,e0,e1,w0,w1,r0,r1,g0,g1,c0,c1\n0,0,P,0,0,1,0.75,.25,0,1,1,,0.5,\n"
                  "0,1,D,0,2,1,1e-3,nan,2,0,2,1,1,0.125\n",
    "crlf": "request_id,token_index,phase,layer,e0\r\n0,0,D,0,65534\r\n\r\n0,1,D,0,0\r\n",
    "small": "request_id,token_index,phase,layer,e0,e1\n0,0,P,1,0,3\n0,0,P,2,1,0\n0,1,P,1,2,1\n0,1,P,2,3,2\n0,2,D,1,0,1\n0,2,D,2,2,3\n0,3,D,1,3,0\n0,3,D,2,1,2\n",
    "header_only": "request_id,token_index,phase,layer,e0\n",
    "twice": "request_id,token_index,phase,layer,e0,e1\n0,0,P,0,1,1\n",
}
ROUTE = """# route_trace v1
# model=/m/x y.gguf arch=qwen3moe n_layer=2 n_expert=4 n_expert_used=2
# layer=0 expert_bytes=1000 dense_bytes=20
# layer=1 expert_bytes=1200 dense_bytes=20
turn,phase,step,layer,slot,expert,weight,residency,expert_bytes%s
0,0,0,0,0,1,0.5,0,1000%s
0,0,0,0,1,3,0.25,0,1000%s
0,0,0,1,0,2,nan,0,1200%s
0,1,1,0,0,1,0.5,1,0%s
0,1,1,1,0,2,1,2,0%s
0,1,1,1,1,0,0,0,1200%s
"""
ROUTE_SMALL = """# route_trace v1
# model=/m/x.gguf arch=qwen3moe n_layer=3 n_expert=4 n_expert_used=2
turn,phase,step,layer,slot,expert,weight,residency,expert_bytes
0,0,0,1,0,0,0.5,0,1
0,0,0,1,1,3,0.5,0,1
0,0,0,2,0,1,0.5,0,1
0,0,0,2,1,0,0.5,0,1
0,1,1,1,0,0,0.5,1,0
0,1,1,1,1,1,0.5,0,1
0,1,1,2,0,2,0.5,0,1
0,1,1,2,1,3,0.5,0,1
"""
BUFFERS = {
    "ends": "step,id,bytes,lifetime\n0,1,1048576,0\n0,2,4096,2\n0,3,65536,@9\n1,4,4194304,\n2,4,release,\n2,9,300,1\n3,,,\n",
    "again": "\ufeffstep,id,bytes,lifetime\r\n0,1,1,9\r\n0,1,release,\r\n0,1,2,5\r\n",
    "header_only": "step,id,bytes,lifetime\n", "twice": "step,id,bytes,lifetime\n0,1,5,\n0,1,release,\n0,1,release,\n",
}
JSON = {
    "object": '{"a": 1, "b": [true, false, null, -0.5e-3], "c": {"d": "\\u00e9\\n\\ud83d\\ude00"}}\n',
    "numbers": "[0, -1, 9007199254740993, 1e308, 1e-320, 123456789012345678901234567890]",
    "deep": "[" * 60 + "]" * 60, "too_deep": "[" * 70, "twice": '{"a": 1, "a": 2}', "empty": "", "text": '"x"', "behind": "{} {}",
    "dots": '{"a": {"b": [{"c": 0}]}, "": {"": 1}}',
}
CONFIG = {
    "empty": "{}",
    "untimed": '{"tiers": {"cache": {"capacity": "3slots", "compute": "gpu"}, "host": {"home": true}}, "policy": {"name": "lru"}, "clock": "none",'
               ' "contract": {"preset": "after_batch", "scope": "layer"}, "observers": ["summary", "coverage", "digest", "audit"]}',
    "timed": '{"model": {"expert_bytes": "1MiB"}, "tiers": {"cache": {"capacity": "4MiB", "compute": "gpu"}, "host": {"home": true}},'
             ' "channels": {"pcie": {"discipline": "lanes", "lanes": 2, "chunk": "64KiB", "timing": {"name": "affine", "latency": "10us", "rate": "25GB/s"}},'
             ' "gpu": {"timing": {"name": "compute", "dense": "1ms", "expert": "20us"}}},'
             ' "links": [{"from": "host", "to": "cache", "channels": ["pcie"]}], "policy": "lfu", "predictor": {"name": "previous_token"},'
             ' "compute": {"overlap": "in_order", "lookahead": 1}, "clock": "simulated", "observers": ["summary", "latency", "audit"]}',
    "three_tiers": '{"model": {"expert_bytes": 1000}, "tiers": {"hbm": {"capacity": "2slots", "compute": "gpu", "demote": "ram", "exclusive": true,'
                   ' "write_back": "absent"}, "ram": {"capacity": "25%", "compute": "cpu"}, "disk": {"home": true}}, "channels": {"pcie": {"discipline": "shared",'
                   ' "timing": {"name": "constant", "time": "5us"}}, "ssd": {"timing": {"name": "affine", "latency": 0, "rate": "7GB/s"}},'
                   ' "gpu": {"timing": {"name": "compute", "expert": "1us"}}, "cpu": {"timing": {"name": "compute", "expert": "9us"}}},'
                   ' "links": [{"from": "ram", "to": "hbm", "channels": ["pcie"]}, {"from": "disk", "to": "ram", "channels": ["ssd"]},'
                   ' {"from": "hbm", "to": "ram", "channels": ["pcie"]}], "dispatcher": {"name": "host_compute"}, "clock": "simulated"}',
    "settings": '{"tiers": {"cache": {"compute": "gpu"}, "host": {"home": true}}}\0tiers.cache.capacity=50%\0policy.name=belady\0clock=none\0'
                'contract.overflow=trim\0seed=7',
    "include": '{"include": ["no_such.json"], "policy": "lru"}',
    "wrong_key": '{"polcy": "lru"}',
}


# "small": two prompt tokens and two generated ones in two layers of four experts, two used. A test cuts it at every byte.
TEXTS = {
    "colibri": {
        "small": "0 0 1 0:0.5 3:0.5\n0 1 1 2:0.75 1:0.25\n1 0 2 1:0.5 0:0.5\n1 1 2 3:0.5 2:0.5\n2 0 1 0:0.5 1:0.5\n3 0 2 2:0.6 3:0.4\n4 0 1 3:0.5 0:0.5\n5 0 2 1:0.5 2:0.5\n",
        "short": "0 0 0 5:nan\n1 0 1 1:1e-3 0:.5\n", "twice": "0 0 0 1:1 1:1\n", "back": "3 0 1 1:1\n2 0 1 1:1\n",
    },
    "nntrainer": {
        "small": "1 2 | 0 3 2 1 | 0 3 2 1\n2 2 | 1 0 3 2 | 1 0 3 2\n1 1 | 0 1 | 0 1\n2 1 | 2 3 | 2 3\n1 1 | 3 0 | 3 0\n2 1 | 1 2 | 1 2\n",
        "ranked": "1 2 | 0 3 2 | 0 3 9 2 3 8\n1 1 | 5 4 | 5 4 1\n", "other": "1 1 | 0 1 | 2 3\n",
    },
    "llama_trace": {"small": "1,0\n1,3\n1,2\n1,1\n2,1\n2,0\n2,3\n2,2\n1,0\n1,1\n2,2\n2,3\n1,3\n1,0\n2,1\n2,2\n", "pruned": "1,0\n1,3\n1,2\n1,1\n2,1\n2,0\n"},
    "okuvshynov": {
        "small": "layer_id,expert_ids\n1,0 3\n1,2 1\n2,1 0\n2,3 2\n1,0 1\n2,2 3\n1,3 0\n2,1 2\n", "gates": "layer_id,expert_ids\ngate_input,1,0,0.5 1\n1,7\n",
    },
    "kimi_linear": {
        "small": "phase,n_tokens,layer,token_idx,e0,e1\nprefill,2,1,0,0,3\nprefill,2,1,1,2,1\nprefill,2,2,0,1,0\nprefill,2,2,1,3,2\ndecode,1,1,0,0,1\ndecode,1,2,0,2,3\n"
                 "decode,1,1,0,3,0\ndecode,1,2,0,1,2\n",
        "start": "# phase,n_tokens,layer,token_idx,e0..e7,start_pos\n# more\nprefill,2,1,0,4,0\nprefill,2,1,1,5,0\ndecode,1,1,0,5,2\n",
    },
    "moepager": {
        "small": "phase,token,layer,rank,expert\nprefill,0,1,0,0\nprefill,0,1,1,3\nprefill,1,1,0,2\nprefill,1,1,1,1\nprefill,0,2,0,1\nprefill,0,2,1,0\nprefill,1,2,0,3\nprefill,1,2,1,2\n"
                 "decode,2,1,0,0\ndecode,2,1,1,1\ndecode,2,2,0,2\ndecode,2,2,1,3\ndecode,3,1,0,3\ndecode,3,1,1,0\ndecode,3,2,0,1\ndecode,3,2,1,2\n",
        "layers": "token,layer,expert,t_ns\n0,1,5,9\n1,1,4,9\n0,2,3,10\n1,2,2,11\n", "twice": "token,layer,expert\n0,1,5\n1,1,4\n0,1,3\n",
    },
    "moe_beyond": {
        "small": 'Layer ID,Batch Number,Token,Activated Expert IDs\r\n1,0,a,"[0, 3]"\r\n1,0,"x, ""y""\nz","[2, 1]"\r\n2,0,a,"[1, 0]"\r\n2,0,"x, ""y""\nz","[3, 2]"\r\n',
        "batch": 'Layer ID,Batch Number,Token,Activated Expert IDs\n1,0,a,[4]\n1,1,b,[5]\n3,0,a,[6]\n3,1,b,[]\n1,0,c,[1]\n',
    },
    "jsonl": {
        "small": '{"expertsim":"trace","version":1,"model":"m","layers":[1,2],"experts":4,"top_k":2,"guesses":0,"expert_bytes":[10,20]}\n' + "".join(
            '{"step":%d,"request":0,"token":%d,"phase":"%s","layer":%d,"experts":[%d,%d],"weights":[0.5,null]}\n' % (max(t - 1, 0), t, "PPDD"[t], 1 + l, (t + l) % 4, (t + 3 * l + 1) % 4)
            for t in range(4) for l in range(2)),
        "guesses": '{"expertsim": "trace", "version": 1, "layers": [0], "experts": 9, "top_k": 1, "guesses": 2}\n'
                   '{"step": 0, "request": 7, "token": 3, "phase": "D", "layer": 0, "experts": [8], "residency": [2], "guesses": [1, 1], "confidence": [0.5, 1e-3], "more": {"a": []}}\n',
    },
    "lark": {
        "small": "seq,expert_bytes,tensor_base,expert_idx,tensor\n1,64,0x0,0,blk.1.ffn_up_exps.weight\n2,64,0x0,3,blk.1.ffn_up_exps.weight\n3,32,0x0,0,blk.1.ffn_down_exps.weight\n"
                 "4,32,0x0,3,blk.1.ffn_down_exps.weight\n5,64,0x0,1,blk.2.ffn_up_exps.weight\n6,64,0x0,2,blk.2.ffn_up_exps.weight\n7,64,0x0,2,blk.1.ffn_up_exps.weight\n"
                 "8,64,0x0,1,blk.1.ffn_up_exps.weight\n9,64,0x0,3,blk.2.ffn_up_exps.weight\n10,64,0x0,0,blk.2.ffn_up_exps.weight\n",
        "columns": "tensor,expert_idx,expert_bytes\nblk.0.ffn_gate_up_exps.weight,7,10\nblk.0.ffn_gate_up_exps.weight,7,10\n",
    },
}


def put(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def main():
    tool = os.path.abspath(sys.argv[1])
    root = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
    for kind, seeds in (("buffers", BUFFERS), ("csv", CSV), ("json", JSON), ("config", CONFIG)):
        for name, text in seeds.items():
            put(os.path.join(root, kind), name, text)
    for kind, seeds in {**TEXTS, **BINARY, **seeds_json.SEEDS}.items():
        for name, text in seeds.items():
            put(os.path.join(root, kind), name, text)
    put(os.path.join(root, "csv"), "small", CSV["small"])
    put(os.path.join(root, "route_trace"), "small", ROUTE_SMALL)
    put(os.path.join(root, "csv"), "gzip", gzip.compress(CSV["requests"].encode(), mtime=0))
    put(os.path.join(root, "route_trace"), "slots", ROUTE_SMALL.replace("0,0,0,1,0,0,0.5,0,1\n0,0,0,1,1,3,0.5,0,1\n", "0,0,0,1,1,3,0.5,0,1\n0,0,0,1.0,0,0e0,0.5,0,1\n") + "# summary hits=1\n")
    for name, rest in (("plain", ("",) * 7), ("dropped", (",dropped",) + (",0",) * 5 + (",1",))):
        put(os.path.join(root, "route_trace"), name, ROUTE % rest)
    put(os.path.join(root, "route_trace"), "gzip", gzip.compress((ROUTE % (("",) * 7)).encode(), mtime=0))
    os.makedirs(os.path.join(root, "native"), exist_ok=True)
    for kind, name in (("csv", "requests"), ("csv", "everything"), ("csv", "both"), ("route_trace", "plain")):
        subprocess.run([tool, "trace", "import", os.path.join(root, kind, name), "-o", os.path.join(root, "native", name + ".h5")], check=True)


if __name__ == "__main__":
    main()
