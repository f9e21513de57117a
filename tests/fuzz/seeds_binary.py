"""Seeds of the binary formats, for seeds.py: BINARY[format][name] is a file's bytes. "small" is what traces_cut cuts at every byte."""
import struct

# two tokens of a prompt and two generated ones: layers 1 and 2, four experts, two to a token
PROMPT = {1: [(0, 3), (2, 1)], 2: [(1, 0), (3, 2)]}
DECODE = [{1: (0, 1), 2: (2, 3)}, {1: (3, 0), 2: (1, 2)}]
CUBE = [0, 3, 1, 0, 2, 1, 3, 2, 0, 1, 2, 3]       # three tokens, two layers


def npy(descr, shape, data, fortran=False, version=1):
    head = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)
    start = 10 if version == 1 else 12
    head += " " * (-(start + len(head) + 1) % 64) + "\n"
    return b"\x93NUMPY" + struct.pack("<BB" + ("H" if version == 1 else "I"), version, 0, len(head)) + head.encode() + data


def u32(*numbers):
    return struct.pack("<%dI" % len(numbers), *numbers)


def u16(*numbers):
    return struct.pack("<%dH" % len(numbers), *numbers)


def calls():
    """(layer, rows) in the order in which an engine computes them."""
    for layer, rows in PROMPT.items():
        yield layer, rows
    for token in DECODE:
        for layer, row in token.items():
            yield layer, [row]


def moet():
    return b"MOET" + u32(4, 2) + b"".join(u32(layer, len(rows), *[e for row in rows for e in row]) for layer, rows in calls())


def pairs():
    return b"".join(u32(layer, e) for layer, rows in calls() for row in rows for e in row)


def rtrc():
    out = b"RTRC" + bytes((1, 3, 2)) + u16(4)
    for layer, rows in PROMPT.items():
        out += b"".join(struct.pack("<BIB2B", 0, position, layer, *row) for position, row in enumerate(rows))
    for position, token in enumerate(DECODE):
        out += b"".join(struct.pack("<BIB2B", 1, 2 + position, layer, *row) for layer, row in token.items())
    return out


def q4rt(tokens):
    halves = (0x4000, 0x3c00, 0xbc00)
    rows = [(0, 3, 1), (1, 0, 2), (2, 1, 3), (3, 2, 0)]
    return b"Q4RT" + u16(1, 2, 4, 3) + u32(tokens) + b"".join(u16(*row) + u16(*halves) for row in rows)


def key(layer, matrix):
    value = 1469598103934665603
    for byte in ("blk.%d.ffn_%s_exps.weight" % (layer, matrix)).encode():
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def ggml(matrices):
    out = b""
    for layer, rows in calls():
        ids = list(dict.fromkeys(e for row in rows for e in row))
        out += b"".join(struct.pack("<QI", key(layer, matrix), e) for matrix in matrices for e in ids)
    return out


def gguf():
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    # as llama-imatrix: for every matrix NAME.in_sum2 of [inputs, experts] and NAME.counts of [1, experts]; dense ones have one
    matrices = [("blk.0.attn_q", (10,)), ("blk.0.ffn_down", (10,))] + [("blk.%d.ffn_%s_exps" % (layer, matrix), (9, 6, 4, 1)) for layer in (1, 2) for matrix in ("down", "up")]
    out, data = b"GGUF" + u32(3) + struct.pack("<QQ", 2 * len(matrices), 3), b""
    out += text("general.type") + u32(8) + text("imatrix")
    out += text("imatrix.chunk_count") + u32(4, 2) + text("imatrix.chunk_size") + u32(4, 5)
    for name, counts in matrices:
        for what, inputs, values in (("in_sum2", 3, [0.5 * i for i in range(3 * len(counts))]), ("counts", 1, counts)):
            out += text("%s.weight.%s" % (name, what)) + u32(2) + struct.pack("<QQIQ", inputs, len(counts), 0, len(data))
            data += struct.pack("<%df" % len(values), *values)
            data += b"\0" * (-len(data) % 32)
    return out + b"\0" * (-len(out) % 32) + data


BINARY = {
    "places": {
        "array": npy("<i4", "(2, 4)", struct.pack("<8i", 0, 1, 2, 1, 3, -1, 0, 2)), "bytes": npy("|u1", "(1, 3)", bytes((2, 0, 1))),
        "big": npy(">i8", "(1, 2)", struct.pack(">2q", 1, 0)), "many": npy("<i2", "(4096, 65535)", b"\0" * 8),
        "list": b"[[0, 1, 2, 1], [3, -1, 0, 2]]", "eplb": b'{"physical_to_logical_map": [[1, 0, 1]]}', "none": b'{"phy2log": [[-1]]}', "torn": b"[[0, 1], [2]]",
    },
    "npy": {
        "small": npy("<i2", "(3, 2, 2)", u16(*CUBE)), "bytes": npy("|u1", "(3, 2, 2)", bytes(CUBE), version=2),
        "fortran": npy(">i4", "(3, 2, 2)", struct.pack(">12i", 0, 2, 0, 1, 3, 2, 3, 1, 1, 0, 2, 3), fortran=True),
        "dense": npy("<i8", "(2, 3, 2)", struct.pack("<12q", 0, 0, 1, 2, -1, -1, 0, 0, 3, -1, -1, -1)), "object": npy("|O", "(3,)", b"\x80\x04."),
        "flat": npy("<u4", "(6, 2)", u32(*CUBE)), "many": npy("<i2", "(4294967294, 4096, 1024)", b"\0" * 8),
    },
    "raw_int16": {"small": u16(*CUBE)}, "raw_int32": {"small": u32(*CUBE), "none": struct.pack("<8i", 0, -1, 2, 3, -1, -1, 1, 0)}, "raw_uint8": {"small": bytes(CUBE)},
    "ds4": {"small": u32(*CUBE), "six": u32(*range(12))},
    "demand": {"small": u32(3, 2, 2) + u16(*CUBE), "many": u32(0xffffffff, 4096, 1024)},
    "moet": {"small": moet(), "pruned": b"MOET" + u32(4, 2, 0, 2, 0, 1, 2, 3, 1, 1, 1, 2), "many": b"MOET" + u32(4, 2, 0, 0x7fffffff)},
    "rtrc": {"small": rtrc(), "again": rtrc() + rtrc()[9:]},
    "q4rt": {"small": q4rt(2), "open": q4rt(0)},
    "k3_pairs": {"small": pairs(), "one": u32(0, 1)},
    "fuctrace": {"small": b"FUCTRCE1" + u32(3) + struct.pack("<Q", len(pairs()) // 8) + pairs(), "pins": b"FUCEXPT1" + u32(0)},
    "ggml_fnv": {"small": ggml(("up", "gate", "down")), "fused": ggml(("gate_up", "down"))},
    "counts": {
        "small": npy("<i4", "(2, 4)", u32(9, 6, 4, 1, 5, 5, 5, 5)), "sets": npy("<f4", "(3, 2, 2)", struct.pack("<12f", 1, 2, 2, 1, 0, 0, 0, 0, 3, 3, 0, 0)),
        "shares": npy("<f8", "(1, 3)", struct.pack("<3d", 0.9, 0.05, 0.05)), "half": npy("<f2", "(1, 2)", u16(0x3c00, 0x4000), fortran=True),
    },
    "imatrix": {"small": gguf()},
}
