"""The ID block of an IGVM file, taken apart by hand (igvm_defs, IGVM_VHS_SNP_ID_BLOCK; AMD's Firmware ABI, ID_BLOCK).

Writes what was signed and the signature, as openssl takes them, and prints the public key's coordinates.
"""

import struct
import sys

data = open(sys.argv[1], "rb").read()
start, size = struct.unpack_from("<2I", data, 8)
at, blocks, policies = start, [], []
while at < start + size:
    kind, length = struct.unpack_from("<2I", data, at)
    body = data[at + 8 : at + 8 + length]
    if kind == 0x30B:
        blocks.append(body)
    if kind == 0x101:
        policies.append(struct.unpack("<QII", body))
    at += 8 + (length + 7) // 8 * 8
(block,) = blocks
mask, author, digest, family, image, version, svn, algorithm, author_algorithm = struct.unpack_from(
    "<IB3x48s16s16sIIII", block
)
assert author == 0 and author_algorithm == 0 and algorithm == 1
(policy,) = [policy for policy, own, _ in policies if own & mask]
r, s, curve, reserved, qx, qy = struct.unpack_from("<72s72sII72s72s", block, 104)
assert curve == 2 and reserved == 0 and not any(block[104 + 296 :]) and len(block) == 104 + 2 * 296


def number(little):
    value = int.from_bytes(little, "little")
    raw = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(raw)]) + raw


sequence = number(r) + number(s)
open(sys.argv[2], "wb").write(digest + family + image + struct.pack("<IIQ", version, svn, policy))
open(sys.argv[3], "wb").write(b"\x30" + bytes([len(sequence)]) + sequence)
print((qx[47::-1] + qy[47::-1]).hex(), digest.hex())
