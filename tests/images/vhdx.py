"""A VHDX held against MS-VHDX, and its content beside a raw disk's.

usage: vhdx.py DISK.vhdx DISK.raw

Every rule is read here from the specification again (sections in brackets). The content is what dissect.hypervisor
finds in the file, which nobody here wrote. Prints "good", or what is wrong.
"""

import struct
import sys
import uuid

from dissect.hypervisor.disk.vhdx import VHDX

KIB, MIB = 1 << 10, 1 << 20
BAT = uuid.UUID("2DC27766-F623-4200-9D64-115E9BFD4A08")
METADATA = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")
ITEMS = {
    uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B"): ("parameters", "<II", 4),
    uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8"): ("disk size", "<Q", 6),
    uuid.UUID("BECA12AB-B2E6-4523-93EF-C309E000C746"): ("disk id", "<16s", 6),
    uuid.UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F"): ("logical sector", "<I", 6),
    uuid.UUID("CDA348C7-445D-4471-9CC9-E9885251C556"): ("physical sector", "<I", 6),
}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def table():
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ (0x82F63B78 if number & 1 else 0)
        yield number


TABLE = list(table())


def must(holds, rule):
    if not holds:
        sys.exit(f"broken: {rule}")


def sealed(data, signature, rule):
    must(data[:4] == signature, f"{rule}: signature {signature}")
    (stored,) = struct.unpack_from("<I", data, 4)
    must(stored == crc32c(data[:4] + bytes(4) + data[8:]), f"{rule}: checksum")


def read(file, offset, length):
    file.seek(offset)
    data = file.read(length)
    must(len(data) == length, f"{length} bytes at {offset} are in the file")
    return data


def headers(file):
    must(read(file, 0, 8) == b"vhdxfile", "2.2.1: file identifier")
    sequences = []
    for offset in (64 * KIB, 128 * KIB):
        header = read(file, offset, 4 * KIB)
        sealed(header, b"head", "2.2.2")
        sequence, write, data, log = struct.unpack_from("<Q16s16s16s", header, 8)
        log_version, version, log_length, log_offset = struct.unpack_from("<HHIQ", header, 64)
        must(version == 1 and log_version == 0, "2.2.2: versions 1 and 0")
        must(log == bytes(16), "2.2.2: an empty log has a nil GUID")
        must(write != bytes(16) and data != bytes(16), "2.2.2: GUIDs of writing")
        must(log_offset >= MIB and log_offset % MIB == 0, "2.2.2: the log at a MiB behind the headers")
        must(log_length > 0 and log_length % MIB == 0, "2.2.2: a log of whole MiB")
        must(not any(header[80:]), "2.2.2: reserved bytes are zero")
        must(not any(read(file, log_offset, log_length)), "the log is empty")
        sequences.append(sequence)
    must(sequences[0] != sequences[1], "2.2.2: one header is the current one")
    return log_offset, log_length


def regions(file):
    both = [read(file, offset, 64 * KIB) for offset in (192 * KIB, 256 * KIB)]
    must(both[0] == both[1], "2.2.3: the region tables agree")
    sealed(both[0], b"regi", "2.2.3")
    count, reserved = struct.unpack_from("<II", both[0], 8)
    must(count == 2 and reserved == 0, "2.2.3: two regions")
    found = {}
    for index in range(count):
        guid, offset, length, required = struct.unpack_from("<16sQII", both[0], 16 + 32 * index)
        must(offset >= MIB and offset % MIB == 0 and length % MIB == 0, "2.2.3.2: regions of whole MiB")
        must(required == 1, "2.2.3.2: known regions are required")
        found[uuid.UUID(bytes_le=guid)] = (offset, length)
    must(set(found) == {BAT, METADATA}, "2.2.3.2: BAT and metadata")
    must(not any(both[0][16 + 32 * count :]), "2.2.3: the rest is zero")
    return found


def metadata(file, offset, length):
    data = read(file, offset, length)
    must(data[:8] == b"metadata", "2.6.1.1: signature")
    reserved, count = struct.unpack_from("<HH", data, 8)
    must(reserved == 0 and not any(data[12:32]), "2.6.1.1: reserved bytes are zero")
    values, places = {}, []
    for index in range(count):
        guid, at, size, flags, reserved = struct.unpack_from("<16sIIII", data, 32 + 32 * index)
        name, form, wanted = ITEMS[uuid.UUID(bytes_le=guid)]
        must(flags == wanted and reserved == 0, f"2.6.1.2: flags of {name}")
        must(at >= 64 * KIB and at + size <= length, f"2.6.1.2: place of {name}")
        must(size == struct.calcsize(form), f"2.6.2: size of {name}")
        values[name] = struct.unpack_from(form, data, at)
        places.append((at, at + size))
    must(len(values) == len(ITEMS), "2.6.2: all items are there")
    disjoint(places, "2.6.1.2: items do not overlap")
    return values


def disjoint(ranges, rule):
    ranges = sorted(ranges)
    must(all(one[1] <= other[0] for one, other in zip(ranges, ranges[1:])), rule)


def blocks(file, values, offset, length):
    (size,), (block, flags) = values["disk size"], values["parameters"]
    (logical,), (physical,) = values["logical sector"], values["physical sector"]
    must(flags == 0, "2.6.2.1: neither fixed nor differencing")
    must(MIB <= block <= 256 * MIB and block & (block - 1) == 0, "2.6.2.1: block size")
    must(logical == 512 and physical == 4096 and size % logical == 0, "2.6.2: sectors")
    ratio = (1 << 23) * logical // block
    count = -(-size // block)
    entries = count + (count - 1) // ratio
    must(entries * 8 <= length, "2.5: the table has room for all blocks")
    table = struct.unpack(f"<{length // 8}Q", read(file, offset, length))
    must(not any(table[entries:]), "2.5: nothing behind the last entry")
    places = []
    for index, entry in enumerate(table[:entries]):
        state, place = entry & 7, entry >> 20 << 20
        must(entry == place | state, "2.5.1: reserved bits are zero")
        if index % (ratio + 1) == ratio:
            must(entry == 0, "2.5.1.2: no sector bitmaps without a parent")
        elif state == 6:
            places.append((place, place + block))
        else:
            must(state == 2 and place == 0, "2.5.1.1: a block is there or zero")
    return places


def main(vhdx, raw):
    with open(vhdx, "rb") as file:
        log = headers(file)
        found = regions(file)
        values = metadata(file, *found[METADATA])
        places = blocks(file, values, *found[BAT])
        size = file.seek(0, 2)
        must(size % MIB == 0, "the file is of whole MiB")
        own = [(0, MIB)] + [(at, at + length) for at, length in (log, *found.values())]
        disjoint(own + places, "2.1: nothing overlaps")
        must(max(end for _, end in own + places) == size, "everything is within the file, and nothing behind it")
    with open(vhdx, "rb") as file, open(raw, "rb") as other:
        disk = VHDX(file).open() if hasattr(VHDX, "open") else VHDX(file)
        left = values["disk size"][0]
        while left:
            ours, theirs = disk.read(min(left, MIB)), other.read(min(left, MIB))
            must(ours == theirs.ljust(len(ours), b"\0") and ours, f"the content {left} bytes before the end")
            left -= len(ours)
    print("good")


main(*sys.argv[1:])
