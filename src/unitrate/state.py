"""State rows: how live entities become bytes, and the hash that a checkpoint's digest sums.

Owns the encoding only. Bodies are deterministic: the same entity after the same record gives the same
bytes on any machine.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def encode(body: Any) -> bytes:
    """Bytes of a body made of None, bool, int, str, bytes, list, tuple and dict (insertion order kept)."""
    return _encoder.encode(body)


def decode(body: bytes) -> Any:
    """The body again, with lists for tuples."""
    return _decoder.decode(body)


def entity_hash(kind: str, entity: bytes, version: int, body: bytes) -> int:
    """64-bit hash of one fact; a checkpoint's digest is its sum over live entities modulo 2⁶⁴."""
    head = f"{kind}\0{version}\0{len(entity)}\0".encode()
    return int.from_bytes(blake2b(head + entity + body, digest_size=8).digest(), "big")


def derived_id(*parts: object) -> str:
    """32 hex digits (128 bits) derived from its parts; no two lists of parts share an encoding."""
    text = "".join([f"{len(s)}:{s}" for s in map(str, parts)])
    return blake2b(text.encode(), digest_size=16).hexdigest()
