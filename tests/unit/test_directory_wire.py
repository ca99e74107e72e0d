"""Forms, Basic headers, claims and failed attempts: what is read, and what is refused as malformed."""

from __future__ import annotations

import base64

import msgspec
import pytest

from claviger.core.attempts import FailedAttempts
from claviger.core.clock import ManualClock
from claviger.core.errors import Busy, Damaged, Invalid, Throttled
from claviger.keyvault.directory import wire
from claviger.keyvault.directory.discovery import instance_discovery, openid_configuration


def test_forms() -> None:
    assert wire.decode_form(b"a=1&b=x%20y+z&c=&api%2Dversion=2") == {
        "a": "1",
        "b": "x y z",
        "c": "",
        "api-version": "2",
    }
    assert wire.decode_form(b"") == {}


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%ff", b"\xff=1", b"&".join(b"f%d=1" % n for n in range(100))])
def test_malformed_forms(body: bytes) -> None:
    with pytest.raises(Invalid, match="RequestMalformed"):
        wire.decode_form(body)


def test_basic_headers() -> None:
    assert wire.decode_basic(b"basic " + base64.b64encode(b"id%2B1:se%3Acret")) == ("id+1", "se:cret")
    assert wire.decode_basic(None) is None
    assert wire.decode_basic(b"Bearer abc") is None
    for wrong in (b"Basic ???", b"Basic " + base64.b64encode(b"no colon"), b"Basic " + base64.b64encode(b"\xff:a")):
        with pytest.raises(Invalid, match="RequestMalformed"):
            wire.decode_basic(wrong)


def test_claims_challenges_are_asked_for_by_capability() -> None:
    assert wire.asks_continuous_access('{"access_token":{"xms_cc":{"values":["cp1"]}}}')
    for other in ("", "{}", '{"access_token":{"nbf":{"essential":true}}}', '{"access_token":{"xms_cc":{"values":[]}}}'):
        assert not wire.asks_continuous_access(other)
    for wrong in ("CP1", "[1]", '{"access_token":{"xms_cc":"CP1"}}', "[" * 100_000):
        with pytest.raises(Invalid, match="RequestMalformed"):
            wire.asks_continuous_access(wrong)


def test_an_error_tells_all_that_entra_tells_and_nothing_at_length() -> None:
    body = wire.error_body(
        Invalid("TenantNotFound", tenant="x" * 5000 + "{app}"),
        at=1_795_000_000.9,
        trace_id="t-1",
        correlation_id="c-1",
        login="https://login.localhost:1",
    )
    assert len(body) < 1000
    told = msgspec.json.decode(body, type=wire.ErrorBody)
    assert told.error_description.startswith(f"AADSTS90002: Tenant '{'x' * 120}' not found.")
    assert told.error_description.endswith("Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-11-18 11:06:40Z")
    assert told.error_uri == "https://login.localhost:1/error?code=90002"


def test_every_error_has_its_facts_and_no_refusal_is_a_failure_by_omission() -> None:
    facts = {"tenant", "app", "grant", "name", "scope", "resource", "verb", "allowed", "retry_after_s"}
    facts |= {"given", "known", "thumbprint", "begins", "ends", "state", "now", "hours"}
    for reason, fault in wire.ERRORS.items():
        assert 400 <= fault.status < 500, reason
        assert fault.message.format_map(dict.fromkeys(facts, "x"))
    assert wire.fault_of(Busy("StoreBusy")).status == 503
    assert wire.fault_of(Damaged("Whatever")).status == 500


def test_attempts_are_counted_per_client_and_address() -> None:
    clock = ManualClock(0)
    attempts = FailedAttempts(clock, most=3, window_s=60)
    for _ in range(3):
        attempts.check("app", "here")
        attempts.failed("app", "here")
    clock.advance(20.5)
    with pytest.raises(Throttled) as refused:
        attempts.check("app", "here")
    assert refused.value.facts["retry_after_s"] == 40
    attempts.check("app", "there")
    attempts.check("other", "here")
    clock.advance(39.5)
    attempts.check("app", "here")
    attempts.failed("app", "here")
    attempts.check("app", "here")


def test_attempts_are_bounded_in_memory() -> None:
    attempts = FailedAttempts(ManualClock(0), most=1, remembered=10)
    for number in range(1000):
        attempts.failed("app", str(number))
    assert len(attempts._counts) == 10
    with pytest.raises(Throttled):
        attempts.check("app", "999")


def test_openid_configuration_names_the_host_that_was_used() -> None:
    told = openid_configuration("https://login.localhost:8443", "t-1", version=2)
    assert told["issuer"] == "https://login.localhost:8443/t-1/v2.0"
    assert told["token_endpoint"] == "https://login.localhost:8443/t-1/oauth2/v2.0/token"
    assert told["jwks_uri"] == "https://login.localhost:8443/t-1/discovery/v2.0/keys"
    assert openid_configuration("https://l", "common", version=2)["issuer"] == "https://l/{tenantid}/v2.0"
    assert openid_configuration("https://l", "t-1", version=1)["issuer"] == "https://sts.windows.net/t-1/"


def test_instance_discovery_knows_our_hosts_and_no_other() -> None:
    here = "https://login.localhost:8443"
    told = instance_discovery(here, f"{here}/t-1/oauth2/v2.0/authorize", {"login.example.org"})
    assert told["tenant_discovery_endpoint"] == f"{here}/t-1/v2.0/.well-known/openid-configuration"
    assert told["metadata"][0]["aliases"] == ["login.localhost:8443"]
    assert instance_discovery(here, "https://login.example.org/t/oauth2/v2.0/authorize", {"login.example.org"})
    for foreign in ("https://evil.example/t/oauth2/v2.0/authorize", "https://login.localhost:1/t"):
        with pytest.raises(Invalid, match="InstanceUnknown"):
            instance_discovery(here, foreign, {"login.example.org"})
    for wrong in ("", "http://login.localhost:8443/t", "https://login.localhost:8443/", "https://[/t", "https://a b/t"):
        with pytest.raises(Invalid, match="RequestMalformed"):
            instance_discovery(here, wrong, set())
