"""What is kept of bodies that are larger than anybody reads."""

import hashlib

import pytest
from pika import frame, spec

from taskyard.rabbitmq.bodies import BEGINNING_BYTES, Beginning, Cutting, cut, whole_bytes

MOST = 100_000


def arrive(cutting: Cutting, body: bytes, step: int = 131_064) -> bytes:
    """Have a message come in frames; return its body as it is handed on."""
    cutting.process(frame.Method(1, spec.Basic.Deliver("c", 1)))
    done = cutting.process(frame.Header(1, len(body), spec.BasicProperties()))
    for start in range(0, len(body), step):
        assert done is None
        done = cutting.process(frame.Body(1, body[start : start + step]))
    assert done is not None
    return done[2]


@pytest.mark.parametrize("size", [0, 1, MOST])
def test_a_body_within_the_bound_is_handed_on_as_it_came(size):
    """Byte for byte, and as nothing but bytes."""
    body = b"x" * size

    assert type(arrive(Cutting(MOST), body, step=7000)) is bytes
    assert arrive(Cutting(MOST), body) == body


@pytest.mark.parametrize("step", [1000, BEGINNING_BYTES, BEGINNING_BYTES + 1, 131_064])
def test_of_a_larger_one_the_beginning_is_kept_and_what_tells_the_whole(step):
    """However its frames lie; the next message is whole again."""
    cutting = Cutting(MOST)
    body = bytes(range(256)) * 1000

    kept = arrive(cutting, body, step)

    assert isinstance(kept, Beginning)
    assert kept == body[:BEGINNING_BYTES]
    assert (kept.whole_bytes, kept.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert arrive(cutting, b"next") == b"next"


def test_nothing_of_a_large_body_piles_up_while_it_comes():
    """Nor when its channel ends in the middle."""
    cutting = Cutting(MOST)
    cutting.process(frame.Method(1, spec.Basic.Deliver("c", 1)))
    cutting.process(frame.Header(1, 10**9, spec.BasicProperties()))
    for _ in range(100):
        cutting.process(frame.Body(1, b"x" * 100_000))

    assert sum(map(len, cutting._body_fragments)) + len(cutting._start) == BEGINNING_BYTES  # noqa: SLF001


def test_what_is_cut_twice_still_tells_the_whole():
    """As where RabbitMQ takes less than was kept."""
    once = cut(b"x" * MOST, MOST - 1)
    twice = cut(once, 10)

    assert isinstance(twice, Beginning)
    assert (len(once), len(twice)) == (BEGINNING_BYTES, 10)
    assert whole_bytes(twice) == MOST
    assert twice.sha256 == hashlib.sha256(b"x" * MOST).hexdigest()
    assert cut(b"x" * 10, 10) == b"x" * 10
