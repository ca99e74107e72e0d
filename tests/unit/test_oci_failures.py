"""What is answered at OCI's paths before the funnel, or when it has failed; and the setting that slows states down."""

from __future__ import annotations

import json
import re

import pytest

from claviger.core.errors import Misconfigured
from claviger.ocikms.errors import failure
from claviger.ocikms.replies import failure_headers
from claviger.settings import load_settings


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidParameter"),
        (404, "NotFound"),
        (405, "MethodNotAllowed"),
        (408, "RequestTimeout"),
        (413, "PayloadTooLarge"),
        (414, "InvalidParameter"),
        (431, "RequestHeaderFieldsTooLarge"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailable"),
    ],
)
def test_a_failure_has_the_shape_of_oci(status: int, code: str) -> None:
    assert json.loads(failure(status, "why")) == {"code": code, "message": "why"}
    [(name, value)] = failure_headers()
    assert name == b"opc-request-id"
    assert re.fullmatch(rb"[0-9A-F]{32}(/[0-9A-F]{32}){2}", value)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("1.5", 1.5), ("3600", 3600.0), ("0.000001", 0.000001)])
def test_states_pass_in_as_many_seconds_as_the_setting_says(text: str, seconds: float) -> None:
    assert load_settings({"CLAVIGER_OCI_SETTLE_S": text}).oci_settle_s == seconds
    assert load_settings({}).oci_settle_s == 0.0


@pytest.mark.parametrize("text", ["-1", "3600.1", "nan", "inf", "1e3", "soon", "1,5", "٣"])
def test_seconds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="CLAVIGER_OCI_SETTLE_S"):
        load_settings({"CLAVIGER_OCI_SETTLE_S": text})
