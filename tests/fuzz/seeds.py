#!/usr/bin/env python3
"""Writes the seed corpora: seeds.py TOOL [FOLDER]. TOOL is a built expertsim, which makes the native files from the CSV ones."""
import gzip
import os
import subprocess
import sys

CSV = {
    "requests": "request_id,token_index,phase,layer,e0,e1\n0,0,P,0,0,1\n0,0,P,1,3,\n0,1,D,0,2,0\n0,1,D,1,3,2\n7,0,D,0,1,0\n7,0,D,1,0,1\n",
    "batched": "step,batch_pos,phase,layer,e0\n0,0,D,0,1\n0,1,D,0,2\n1,0,D,0,1\n1,1,D,0,0\n",
    "both": "step,request_id,token_index,phase,layer,e0\n0,4,0,P,2,1\n0,4,1,P,2,0\n1,4,2,D,2,1\n1,9,0,D,2,1\n",
    "everything": "\ufeffrequest_id,token_index,phase,layer,e0,e1,w0,w1,r0,r1,g0,g1,c0,c1\n0,0,P,0,0,1,0.75,.25,0,1,1,,0.5,\n"
                  "0,1,D,0,2,1,1e-3,nan,2,0,2,1,1,0.125\n",
    "crlf": "request_id,token_index,phase,layer,e0\r\n0,0,D,0,65534\r\n\r\n0,1,D,0,0\r\n",
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
    put(os.path.join(root, "csv"), "gzip", gzip.compress(CSV["requests"].encode(), mtime=0))
    for name, rest in (("plain", ("",) * 7), ("dropped", (",dropped",) + (",0",) * 5 + (",1",))):
        put(os.path.join(root, "route_trace"), name, ROUTE % rest)
    put(os.path.join(root, "route_trace"), "gzip", gzip.compress((ROUTE % (("",) * 7)).encode(), mtime=0))
    os.makedirs(os.path.join(root, "native"), exist_ok=True)
    for kind, name in (("csv", "requests"), ("csv", "everything"), ("csv", "both"), ("route_trace", "plain")):
        subprocess.run([tool, "trace", "import", os.path.join(root, kind, name), "-o", os.path.join(root, "native", name + ".h5")], check=True)


if __name__ == "__main__":
    main()
