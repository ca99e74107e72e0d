"""What a request's head must be, case by case."""

from __future__ import annotations

import pytest

from claviger.server.head import Refused, body_length, decode_path, head_size, read_framing, read_target

HOST = [(b"host", b"a")]


class TestTarget:
    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"/", b"/", b""),
            (b"/secrets/a/?api-version=7.4", b"/secrets/a/", b"api-version=7.4"),
            (b"//secrets//a", b"//secrets//a", b""),
            (b"/a%2Fb%20c?%24x=%00?", b"/a%2Fb%20c", b"%24x=%00?"),
            (b"/a?", b"/a", b""),
            (b"/:://", b"/:://", b""),
        ],
    )
    def test_origin_form_is_kept_as_it_came(self, target: bytes, path: bytes, query: bytes) -> None:
        assert read_target(target, HOST) == (path, query, HOST)

    @pytest.mark.parametrize(
        ("target", "host", "path", "query"),
        [
            (b"http://b/c?d", b"b", b"/c", b"d"),
            (b"HTTPS://b:1", b"b:1", b"/", b""),
            (b"https://b?d", b"b", b"/", b"d"),
            (b"https://[::1]:8443/c", b"[::1]:8443", b"/c", b""),
            (b"https:///c", b"", b"/c", b""),
        ],
    )
    def test_absolute_form_replaces_the_host(self, target: bytes, host: bytes, path: bytes, query: bytes) -> None:
        headers = [(b"host", b"a"), (b"x", b"y"), (b"host", b"z")]
        assert read_target(target, headers) == (path, query, [(b"host", host), (b"x", b"y")])

    @pytest.mark.parametrize("target", [b"*", b"a:443", b"", b"ftp://a/b", b"/a#b", b"http://a/b#c", b"://a"])
    def test_anything_else_is_refused(self, target: bytes) -> None:
        with pytest.raises(Refused) as caught:
            read_target(target, HOST)
        assert caught.value.status == 400

    def test_path_is_decoded_once_and_never_fails(self) -> None:
        assert decode_path(b"/a%2Fb%252F") == "/a/b%2F"
        assert decode_path(b"/%ff%zz%") == "/\ufffd%zz%"


class TestFraming:
    @pytest.mark.parametrize("value", [b"chunked", b"Chunked", b" chunked "])
    def test_chunked(self, value: bytes) -> None:
        assert read_framing([(b"transfer-encoding", value)], "1.1", upgrades=False) is False

    @pytest.mark.parametrize(
        ("watched", "version", "upgrades"),
        [
            ([(b"transfer-encoding", b"gzip, chunked")], "1.1", False),
            ([(b"transfer-encoding", b"identity")], "1.1", False),
            ([(b"transfer-encoding", b"")], "1.1", False),
            ([(b"transfer-encoding", b"chunked")], "1.0", False),
            ([(b"upgrade", b"h2c"), (b"content-length", b"1")], "1.1", True),
            ([(b"upgrade", b"h2c"), (b"transfer-encoding", b"chunked")], "1.1", True),
        ],
    )
    def test_refused(self, watched: list[tuple[bytes, bytes]], version: str, upgrades: bool) -> None:
        with pytest.raises(Refused):
            read_framing(watched, version, upgrades)

    def test_leave_is_awaited_only_for_a_body_of_http_1_1(self) -> None:
        expect, length = (b"expect", b"100-Continue"), (b"content-length", b"5")
        assert read_framing([expect, length], "1.1", upgrades=False)
        assert read_framing([length, expect], "1.1", upgrades=False)
        assert not read_framing([expect, length], "1.0", upgrades=False)
        assert not read_framing([expect], "1.1", upgrades=False)
        assert not read_framing([expect, (b"content-length", b"0")], "1.1", upgrades=False)
        assert not read_framing([(b"expect", b"miracles"), length], "1.1", upgrades=False)

    def test_an_upgrade_header_that_upgrades_nothing_may_have_a_body(self) -> None:
        assert not read_framing([(b"upgrade", b"h2c"), (b"content-length", b"1")], "1.1", upgrades=False)


def test_lengths() -> None:
    assert body_length([(b"expect", b"x"), (b"content-length", b"12")]) == 12
    assert body_length([(b"transfer-encoding", b"chunked")]) is None
    assert head_size(b"/abc", [(b"host", b"a"), (b"x", b"")]) == 4 + 9 + 5
