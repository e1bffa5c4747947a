"""What is taken for a request of this machine, where no key is asked for."""

import pytest
from flask import Flask, Request

from services.api.auth.errors import NotLocal
from services.api.auth.locality import check
from taskyard.runtime.browsers import is_loopback


def made(**headers: str) -> Request:
    """Return a request with these headers, `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    method, path = named.pop("method", "GET"), named.pop("path", "/v1/jobs")
    return Flask("test").test_request_context(path, method=method, headers=named).request


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:5000",
        "127.0.0.1",
        "127.1.2.3:80",
        "localhost",
        "LOCALHOST:5000",
        "[::1]:5000",
        "[::1]",
    ],
)
def test_names_of_loopback_are_known(host):
    """With a port or without."""
    check(made(Host=host), ())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:5000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1:5000@evil.example",
        "localhost:5000:1",
        "10.0.0.1:5000",
        "0.0.0.0:5000",
        "[::]:5000",
        "[::ffff:10.0.0.1]",
        "localhost,evil.example",
        " ",
        "",
    ],
)
def test_other_names_are_refused(host):
    """Such as those that somebody else can have resolved to this machine."""
    with pytest.raises(NotLocal, match="by the name"):
        check(made(Host=host), ())


def test_other_names_can_be_allowed():
    """One by one, or all of them."""
    check(made(Host="yard.example:5000"), {"yard.example"})
    check(made(Host="anything", X_Forwarded_For="10.0.0.1"), {"*"})


def test_who_names_no_host_is_no_browser():
    """HTTP/1.0 has none."""
    asked = made()
    asked.environ.pop("HTTP_HOST", None)
    check(asked, ())


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "X_Forwarded_For", "X_Forwarded_Host", "X_Forwarded_Proto", "X_Real_IP", "Via"],
)
def test_what_a_proxy_forwards_is_refused(header):
    """Whoever sent it is not from here."""
    with pytest.raises(NotLocal, match="through a proxy"):
        check(made(Host="127.0.0.1:5000", **{header: "127.0.0.1"}), ())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "https://127.0.0.1:5000"},
        {"Origin": "x://127.0.0.1:5000"},
        {"Origin": "127.0.0.1:5000"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/events", "/v1/jobs/x?wait_s=60"])
def test_another_page_sends_nothing(headers, method, path):
    """A browser sends its requests, though it does not show it the answers: they act, or take places."""
    with pytest.raises(NotLocal, match="web page"):
        check(made(method=method, path=path, Host="127.0.0.1:5000", **headers), ())


LINK = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


def test_a_link_of_another_page_may_be_followed():
    """To what is answered at once, and shown to who has followed it."""
    check(made(path="/v1/jobs/x", Host="127.0.0.1:5000", **LINK), ())


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("/v1/events", {}),
        ("/v1/jobs/x/events", {}),
        ("/v1/jobs/x?wait_s=60", {}),
        ("/v1/jobs/x", {"method": "POST"}),
        ("/v1/jobs/x", {"Sec_Fetch_Dest": "iframe"}),
        ("/v1/jobs/x", {"Sec_Fetch_Dest": "image", "Sec_Fetch_Mode": "no-cors"}),
        ("/v1/jobs/x", {"Sec_Fetch_Dest": "empty", "Sec_Fetch_Mode": "cors"}),
        ("/v1/jobs/x", {"Origin": "https://evil.example"}),
    ],
)
def test_nothing_else_is_a_link(path, changed):
    """Nor a link to what keeps a place: each window of a page could keep one."""
    with pytest.raises(NotLocal, match="web page"):
        check(made(path=path, Host="127.0.0.1:5000", **{**LINK, **changed}), ())


def test_a_page_of_its_own_may_change_things():
    """It is of the same origin."""
    own = {"Origin": "http://127.0.0.1:5000", "Sec_Fetch_Site": "same-origin"}
    for method in ("POST", "GET"):
        check(made(method=method, path="/v1/events", Host="127.0.0.1:5000", **own), ())
    check(made(method="POST", Host="LocalHost", Origin="http://localhost"), ())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback(host):
    """Addresses and the name of this machine alone."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "yard.example", ""])
def test_not_loopback(host):
    """Others may reach these."""
    assert not is_loopback(host)
