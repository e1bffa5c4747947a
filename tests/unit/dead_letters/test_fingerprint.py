"""Which failures are the same: what varies from job to job makes no difference, everything else does."""

import pytest

from taskyard.dead_letters.fingerprint import fingerprint, normalised, user_frames

TRACE = """Traceback (most recent call last):
  File "/srv/app/tasks/mail.py", line 10, in send
    connect(host)
  File "/srv/app/tasks/smtp.py", line {line}, in connect
    raise OSError
  File "/usr/lib/python3.11/socket.py", line 5, in create_connection
    raise err
OSError: no
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("row 17 of 20", "row <n> of <n>"),
        ("no user 'ann'", "no user <text>"),
        ("job 01a20d71-ddad-75dd-a7b7-6c5e6a87f3fe", "job <uuid>"),
        ("object at 0x7f23e2fc4a10", "object at <hex>"),
        ("commit 76f03c5aa1", "commit <hex>"),
        ("took 1.5 s", "took <n> s"),
        ("connection refused", "connection refused"),
    ],
)
def test_what_varies_is_a_placeholder(message, expected):
    """Numbers, ids and quoted texts."""
    assert normalised(message) == expected


def test_frames_of_libraries_and_lines_do_not_count():
    """A later version of the file has the same fingerprint."""
    old, new = TRACE.format(line=20), TRACE.format(line=99)

    assert user_frames(old) == ["tasks/mail.py:send", "tasks/smtp.py:connect"]
    assert fingerprint("t", "OSError", "no", old) == fingerprint("t", "OSError", "no", new)


@pytest.mark.parametrize("other", [("u", "E", "m"), ("t", "F", "m"), ("t", "E", "n")])
def test_task_type_and_message_count(other):
    """Each makes another group."""
    assert fingerprint("t", "E", "m") != fingerprint(*other)
