"""An IGVM file read by hand, and what its platforms measure, from the specifications alone.

Shares no code with what wrote the file: headers by struct (igvm_defs as published), the checksum by zlib, SEV-SNP by
the package sev-snp-measure, TDX (Intel TDX Module Base Architecture Specification, "Measurement and Attestation") and
VBS (crate igvm, "VBS_VM_BOOT_MEASUREMENT_CHUNK") by hashlib. Prints one JSON object.
"""

import hashlib
import json
import struct
import sys
import zlib

from sevsnpmeasure.gctx import GCTX

PAGE = 4096
PLATFORMS = {0: "native", 1: "vsm-isolation", 2: "sev-snp", 3: "tdx"}


def headers(data):
    magic, version, start, size, total, checksum = struct.unpack_from("<4s5I", data)
    assert magic == b"IGVM" and version in (1, 2), (magic, version)
    assert total == len(data), (total, len(data))
    fixed = 24 if version == 1 else 32
    assert start == fixed and start % 8 == 0 and size % 8 == 0
    covered = data[:20] + bytes(4) + data[24:fixed] + data[start : start + size]
    assert zlib.crc32(covered) == checksum
    at, last, result = start, 0, []
    while at < start + size:
        kind, length = struct.unpack_from("<2I", data, at)
        assert at + 8 + length <= start + size
        # Platforms, then initialization, then directives.
        stage = kind >> 8
        assert stage >= last, hex(kind)
        last = stage
        result.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + (length + 7) // 8 * 8
    assert at == start + size
    return result


class Platform:
    """All that one platform imports, in the order of the file."""

    def __init__(self, data, records, mask):
        self.data, self.mask = data, mask
        self.imports, self.registers, self.areas = [], [], {}
        self.required, self.addresses = [], []
        for kind, body in records:
            self.record(kind, body)
        assert self.addresses == sorted(set(self.addresses)), "pages are in order of address, each once"

    def record(self, kind, body):
        if kind == 0x302:
            gpa, mask, offset, flags, data_type, reserved = struct.unpack("<QIIIHH", body)
            if mask & self.mask:
                assert reserved == 0 and flags == 0 and gpa % PAGE == 0
                page = self.data[offset : offset + PAGE] if offset else bytes(PAGE)
                assert len(page) == PAGE
                self.imports.append((("normal", "secrets", "cpuid")[data_type], gpa, page))
                self.addresses.append(gpa)
        elif kind == 0x301:
            size, index, offset = struct.unpack("<QII", body)
            assert size % PAGE == 0 and offset == 0 and index not in self.areas
            self.areas[index] = size
        elif kind == 0x303:
            gpa, mask, index = struct.unpack("<QII", body)
            size = self.areas.pop(index)
            if mask & self.mask:
                for page in range(gpa, gpa + size, PAGE):
                    self.imports.append(("host", page, None))
                    self.addresses.append(page)
        elif kind == 0x304:
            gpa, mask, offset, vp, reserved = struct.unpack("<QIIHH", body)
            if mask & self.mask:
                assert vp == 0 and reserved == 0
                self.registers.append((gpa, offset))
        elif kind == 0x305:
            gpa, mask, size, flags, reserved = struct.unpack("<QIIII", body)
            if mask & self.mask:
                self.required.append([gpa, size, flags])
        else:
            # What the host puts into areas: memory map, processors, device tree, command line.
            assert kind in (0x307, 0x30C, 0x312, 0x30E), hex(kind)


def sev_snp(platform):
    gctx = GCTX()
    for kind, gpa, page in platform.imports:
        if kind == "normal":
            gctx.update_normal_pages(gpa, page)
        elif kind == "secrets":
            gctx.update_secrets_page(gpa)
        elif kind == "cpuid":
            gctx.update_cpuid_page(gpa)
        else:
            gctx.update_unmeasured_pages(gpa, PAGE)
    for gpa, offset in platform.registers:
        vmsa = platform.data[offset : offset + PAGE]
        # Its own method knows only the address that KVM uses.
        gctx._update(0x02, gpa, hashlib.sha384(vmsa).digest())
    return gctx.ld().hex()


def tdx(platform):
    digest = hashlib.sha384()
    for kind, gpa, page in platform.imports:
        digest.update(b"MEM.PAGE.ADD".ljust(16, b"\0") + struct.pack("<Q", gpa) + bytes(104))
        if kind == "normal":
            for chunk in range(0, PAGE, 256):
                digest.update(b"MR.EXTEND".ljust(16, b"\0") + struct.pack("<Q", gpa + chunk) + bytes(104))
                digest.update(page[chunk : chunk + 256])
    assert platform.registers == [], "TDX begins as after a reset"
    return digest.hexdigest()


def vbs(platform):
    state = bytes(32)
    for kind, gpa, page in platform.imports:
        unmeasured = 0 if kind == "normal" else 4
        chunk = struct.pack("<IIQQQ", 32 + PAGE, 2, 0, unmeasured, gpa // PAGE)
        state = hashlib.sha256(state + chunk + (page or bytes(PAGE))).digest()
    for gpa, offset in platform.registers:
        assert gpa == 0
        (count,) = struct.unpack_from("<I", platform.data, offset)
        for number in range(count):
            vtl, name, _, value = struct.unpack_from("<BI11s16s", platform.data, offset + 4 + 32 * number)
            chunk = struct.pack("<IIQIBBHII16s", 48, 0, 0, 0, vtl, 0, 0, 0, name, value)
            state = hashlib.sha256(state + chunk).digest()
    return state.hex()


def main(path):
    data = open(path, "rb").read()
    records = headers(data)
    policies = [struct.unpack("<QII", body) for kind, body in records if kind == 0x101]
    directives = [record for record in records if record[0] > 0x300]
    result = {}
    for kind, body in records:
        if kind != 0x1:
            continue
        mask, vtl, platform_type, version, boundary = struct.unpack("<IBBHQ", body)
        assert version == 1
        platform = Platform(data, directives, mask)
        name = PLATFORMS[platform_type]
        measure = {"sev-snp": sev_snp, "tdx": tdx, "vsm-isolation": vbs}.get(name)
        result[name] = {
            "highest-vtl": vtl,
            "shared-gpa-boundary": boundary,
            "policy": [policy for policy, own, _ in policies if own & mask],
            "required": platform.required,
            "pages": len(platform.addresses),
            "contexts": len(platform.registers),
            "digest": measure(platform) if measure else None,
        }
    print(json.dumps(result))


main(sys.argv[1])
