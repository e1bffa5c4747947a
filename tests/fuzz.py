"""Messages as nobody would send them on purpose: properties of every type, and bodies of every kind."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from tests.poison import NAMES, RawProperties, field, long_bytes, raw

#: Each with what it writes; the letters are RabbitMQ's, some of which AMQP's own specification has otherwise.
_SIZED: dict[bytes, Callable[[random.Random], bytes]] = {
    b"t": lambda rng: rng.randbytes(1),
    b"b": lambda rng: rng.randbytes(1),
    b"B": lambda rng: rng.randbytes(1),
    b"u": lambda rng: rng.randbytes(2),
    b"s": lambda rng: rng.randbytes(2),
    b"I": lambda rng: rng.randbytes(4),
    b"i": lambda rng: rng.randbytes(4),
    b"f": lambda rng: rng.randbytes(4),
    b"D": lambda rng: rng.randbytes(5),
    b"l": lambda rng: rng.randbytes(8),
    b"L": lambda rng: rng.randbytes(8),
    b"d": lambda rng: struct.pack(">d", rng.choice([0.0, float("nan"), float("inf"), 1e308])),
    b"T": lambda rng: struct.pack(">Q", rng.choice([0, 2**31, 253_402_300_800, 2**64 - 1])),
    b"V": lambda _: b"",
    b"S": lambda rng: long_bytes(_text(rng)),
    b"x": lambda rng: long_bytes(_text(rng)),
}
KINDS = [*_SIZED, b"F", b"A"]
#: Without those that may be no number, for which RabbitMQ closes the producer's connection.
OF_RABBITMQ = [kind for kind in KINDS if kind not in (b"d", b"f")]
#: Headers that taskyard itself reads, or RabbitMQ.
_HEADERS = (
    b"traceparent",
    b"taskyard-attempt",
    b"taskyard-reason",
    b"taskyard-attempts",
    b"taskyard-failed-at",
    b"taskyard-whole-bytes",
    b"taskyard-whole-sha256",
    b"taskyard-dead-letter-id",
    b"x-death",
    b"x-delivery-count",
)
#: What RabbitMQ itself would refuse, or have the message do elsewhere.
_LEFT_ALONE = {"user_id", "expiration"}
_NUMBERS = {"priority": 1, "timestamp": 8}


def properties(rng: random.Random, kinds: Sequence[bytes] = KINDS) -> RawProperties:
    """Return properties, each there or not, with headers of these types."""
    values: dict[str, bytes] = {}
    for name in NAMES:
        if name in _LEFT_ALONE or rng.random() < 0.5:
            continue
        if name == "headers":
            values[name] = _table(rng, kinds, 0)
        elif (
            name == "reply_to" and rng.random() < 0.9
        ):  # of another all others would be refused alike
            values[name] = b"reply." + _text(rng)[:200]
        elif name == "delivery_mode":
            values[name] = rng.choice([b"\1", b"\2"])  # RabbitMQ takes no other
        elif name == "message_id" and rng.random() < 0.5:
            values[name] = b"id-%d" % rng.randrange(10**9)
        else:
            size = _NUMBERS.get(name)
            values[name] = _text(rng)[:255] if size is None else rng.randbytes(size)
    return raw(flags=rng.choice([b"", b"\1", b"\2", b"\3"]), **values)


def _table(rng: random.Random, kinds: Sequence[bytes], depth: int) -> bytes:
    names = [rng.choice([*_HEADERS, _text(rng)[:128]]) for _ in range(rng.randrange(9))]
    return b"".join(field(name, *_value(rng, kinds, depth)) for name in dict.fromkeys(names))


def _value(rng: random.Random, kinds: Sequence[bytes], depth: int) -> tuple[bytes, bytes]:
    kind = rng.choice(kinds)
    if kind in _SIZED:
        return kind, _SIZED[kind](rng)
    if depth > 4:
        return kind, long_bytes(b"")
    if kind == b"F":
        return kind, long_bytes(_table(rng, kinds, depth + 1))
    items = [b"".join(_value(rng, kinds, depth + 1)) for _ in range(rng.randrange(4))]
    return kind, long_bytes(b"".join(items))


def _text(rng: random.Random) -> bytes:
    return rng.choice(
        [
            b"",
            b"a",
            b"\xff\xfe",
            b"\0",
            b"reply.x",
            b"9" * 300,
            b"0001-01-01",
            b"9999-12-31T23:59-14:00",
            "\u2028ä€😀".encode(),
            b"\xed\xa0\x80",
        ]
    ) + rng.choice([b"", rng.randbytes(rng.randrange(20))])


def body(rng: random.Random, good: dict[str, Any]) -> bytes:
    """Return a body made of a good one: the same in another encoding, damaged, or something else."""
    whole = json.dumps(good).encode()
    kinds: list[Callable[[], bytes]] = [
        lambda: whole,
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: whole[: rng.randrange(len(whole))],
        lambda: _flipped(rng, whole),
        lambda: b"\xef\xbb\xbf" + whole,
        lambda: whole.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-32"])),
        lambda: b"[" * (depth := rng.choice([63, 64, 65, 1000, 100_000])) + b"]" * depth,
        lambda: b'{"a":' * (depth := rng.choice([64, 65, 20_000])) + b"1" + b"}" * depth,
        lambda: _with(good, rng.choice(list(good)), rng.choice(_VALUES)),
        lambda: _with(good, rng.choice(["x", "", "\0", "é", "args", "id"]), rng.choice(_VALUES)),
        lambda: whole[:-1] + b"," + whole[1:],
        lambda: b"[" + whole + b"," + rng.choice(_VALUES) + b"]",
        lambda: rng.choice(_VALUES),
        lambda: b" \n\t" * rng.randrange(9) + whole + b"\n",
        lambda: whole + whole,
    ]
    return rng.choice(kinds)()


#: JSON of all kinds, and some that only looks like it.
_VALUES = (
    b"null",
    b"true",
    b"0",
    b"-0",
    b"-1",
    b"1e400",
    b"-1e-400",
    b"9" * 5000,
    b"1." + b"0" * 5000,
    b"18446744073709551616",
    b"9007199254740993",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'""',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"' + b"x" * 10_000 + b'"',
    b"[]",
    b"{}",
    b'{"a":1,"a":2}',
    b'{"\\u0061":1,"a":2}',
    b"[" * 70 + b"]" * 70,
    b"[1,]",
    b"// no\n1",
    b"'1'",
)


def _with(good: dict[str, Any], name: str, value: bytes) -> bytes:
    """Return a good body with one field of another value."""
    parts = [
        json.dumps(key).encode() + b":" + json.dumps(old).encode()
        for key, old in good.items()
        if key != name
    ]
    return b"{" + b",".join([*parts, json.dumps(name).encode() + b":" + value]) + b"}"


def _flipped(rng: random.Random, whole: bytes) -> bytes:
    changed = bytearray(whole)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
