"""Content of objects, which depends on a seed and an offset only, so that any range can be made at any time; and its CRC64."""

import functools
import os
import random
import subprocess

BLOCK = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


@functools.lru_cache(maxsize=8)
def _block(seed, number):
    return random.Random(f"{seed}/{number}").randbytes(BLOCK)


def content(seed, offset, length):
    """Yields the bytes from offset on, in pieces of at most BLOCK."""
    while length > 0:
        number, skip = divmod(offset, BLOCK)
        piece = _block(seed, number)[skip:skip + length]
        yield piece
        offset += len(piece)
        length -= len(piece)


def content_bytes(seed, size):
    return b"".join(content(seed, 0, size))


def write_content(path, seed, size):
    with open(path, "wb") as out:
        for piece in content(seed, 0, size):
            out.write(piece)


def crc64_file(path):
    """Returns CRC-64/XZ as an int, by the COS endpoint's implementation (cos/crc64.js), which is independent of the one under test."""
    out = subprocess.run(["node", os.path.join(HERE, "cos", "crc64.js"), str(path)], check=True, stdout=subprocess.PIPE)
    return int(out.stdout)


def crc64_bytes(data):
    out = subprocess.run(["node", os.path.join(HERE, "cos", "crc64.js"), "-"], input=data, check=True, stdout=subprocess.PIPE)
    return int(out.stdout)


@functools.lru_cache(maxsize=None)
def crc64_content(seed, size):
    node = subprocess.Popen(["node", os.path.join(HERE, "cos", "crc64.js"), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for piece in content(seed, 0, size):
        node.stdin.write(piece)
    out, _ = node.communicate()
    return int(out)
