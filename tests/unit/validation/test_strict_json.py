"""JSON from strangers: what has one meaning is read, everything else is refused at its place."""

import pytest

from taskyard.errors import InvalidSubmission
from taskyard.message import Undecodable
from taskyard.validation import strict_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b'{"a": "10:00", "b": [{"a": 1}, {"a": 2}]}', {"a": "10:00", "b": [{"a": 1}, {"a": 2}]}),
        (b'{"a:b": {"c": ":"}}', {"a:b": {"c": ":"}}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"1" + b"0" * 300, 10**300),
    ],
)
def test_what_is_json_is_read(body, value):
    """Colons in texts and equal names in different objects are nothing wrong."""
    assert strict_json.decode(body) == value


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b'{"a": [1, NaN]}', "/a/1", "not_finite"),
        (b'{"a": -Infinity}', "/a", "not_finite"),
        (b'{"a": 1e999}', "/a", "not_finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "/a", "not_finite"),
        (b'{"a/b": "\\ud800"}', "/a~1b", "not_unicode"),
        (b'{"a": {"\\udfff": 1}}', "/a", "not_unicode"),
        (b'{"a": 1, "a": 1}', "/a", "duplicate_name"),
        (b'{"a": [{"b": 1, "c:": 2, "b": ":"}]}', "/a/0/b", "duplicate_name"),
        (b'{"a": 1, "\\u0061": 2}', "/a", "duplicate_name"),
        (b"[" * 65 + b"]" * 65, "", "too_deep"),
        (b"[" * 100_000, "", "too_deep"),
    ],
)
def test_what_has_no_one_meaning_is_refused_at_its_place(body, pointer, code):
    """Programs on the way could read each of these differently."""
    with pytest.raises(InvalidSubmission) as caught:
        strict_json.decode(body)

    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [(pointer, code)]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{} x", b"{'a': 1}", b'{"a": 1,}', b'\xef\xbb\xbf{"a": 1}', b'"\xff"']
    + ['{"a": 1}'.encode(encoding) for encoding in ("utf-16", "utf-32-be")],
)
def test_what_is_no_json_is_undecodable(body):
    """Other encodings than UTF-8 too: JSON between programs has no other."""
    with pytest.raises(Undecodable):
        strict_json.decode(body)


def test_names_that_come_twice_are_looked_for_once():
    """One pass over the names finds them, however many there are; as many faults are told as anyone reads."""
    many = ", ".join(f'"a{n}": 0' for n in range(50_000))
    twice = '{"b": 0, "b": 0}'

    for body, number in (
        (f'{{{many}, "z": 0, "z": 0}}', 1),
        (f"[{', '.join([twice] * 500)}]", 101),
    ):
        with pytest.raises(InvalidSubmission) as caught:
            strict_json.decode(body.encode())

        assert len(caught.value.faults) == number
