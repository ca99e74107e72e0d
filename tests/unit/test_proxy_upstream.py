"""What the user's own proxy variables mean, and what they make of a request that is passed on."""

from __future__ import annotations

import base64

import pytest

from claviger.core.errors import Misconfigured
from claviger.proxy.upstream import Exceptions, Upstream, find_upstream


def test_no_proxy_at_all() -> None:
    assert find_upstream({}) is None
    assert find_upstream({"HTTPS_PROXY": "", "https_proxy": " ", "HTTP_PROXY": "http://plain:1"}) is None


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, "lower"),
        ({"HTTPS_PROXY": "http://upper:1", "ALL_PROXY": "http://all:1"}, "upper"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://upper:1"}, "upper"),
        ({"all_proxy": "http://lower-all:1", "ALL_PROXY": "http://all:1"}, "lower-all"),
        ({"ALL_PROXY": "http://all:1"}, "all"),
    ],
)
def test_which_variable_counts(environment: dict[str, str], host: str) -> None:
    found = find_upstream(environment)
    assert found is not None
    assert found.host == host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example:3128", Upstream("proxy.example", 3128)),
        ("http://proxy.example:3128/", Upstream("proxy.example", 3128)),
        ("proxy.example:3128", Upstream("proxy.example", 3128)),
        ("http://proxy.example", Upstream("proxy.example", 80)),
        ("https://proxy.example", Upstream("proxy.example", 443, True)),
        ("HTTP://[::1]:8080", Upstream("::1", 8080)),
    ],
)
def test_an_address(text: str, expected: Upstream) -> None:
    assert find_upstream({"HTTPS_PROXY": text}) == expected


def test_credentials_are_decoded_and_not_shown() -> None:
    found = find_upstream({"HTTPS_PROXY": "http://us%40er:p%C3%A4ss@proxy.example:1"})
    assert found is not None
    assert found.authorization is not None
    assert found.authorization.reveal() == b"Basic " + base64.b64encode("us@er:päss".encode())
    assert "p%C3" not in repr(found)
    assert base64.b64encode("us@er:päss".encode()).decode() not in repr(found)


@pytest.mark.parametrize("text", ["socks5://p:1080", "http://", "http://[::1", "http://p:99999", "ftp://u:secret@p"])
def test_one_that_cannot_be_used_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        find_upstream({"all_proxy": text})
    assert refused.value.reason == "UpstreamProxy"
    assert refused.value.facts["variable"] == "all_proxy"
    assert "secret" not in str(refused.value.facts)


@pytest.mark.parametrize(
    ("text", "host", "port", "covered"),
    [
        ("*", "example.org", 443, True),
        ("example.org", "example.org", 443, True),
        ("example.org", "EXAMPLE.org.", 443, True),
        ("example.org", "www.example.org", 443, True),
        (".example.org", "www.example.org", 443, True),
        (".example.org", "example.org", 443, True),
        ("*.example.org", "www.example.org", 443, True),
        ("example.org", "notexample.org", 443, False),
        ("example.org", "example.org.evil", 443, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:8443", "example.org", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3:443", "10.1.2.3", 443, True),
        ("10.1.2.3:443", "10.1.2.3", 444, False),
        ("10.0.0.0/8", "example.org", 443, False),
        ("::1", "::1", 443, True),
        ("[::1]", "::1", 443, True),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "10.0.0.1", 443, False),
        ("a.example, b.example c.example", "c.example", 443, True),
        (" , ", "example.org", 443, False),
        (".", "example.org", 443, False),
    ],
)
def test_exceptions(text: str, host: str, port: int, covered: bool) -> None:
    assert Exceptions({"NO_PROXY": text}).cover(host, port) is covered


def test_which_list_of_exceptions_counts() -> None:
    exceptions = Exceptions({"NO_PROXY": "upper.example", "no_proxy": "lower.example"})
    assert exceptions.cover("lower.example", 443)
    assert not exceptions.cover("upper.example", 443)
    assert not Exceptions({}).cover("lower.example", 443)
