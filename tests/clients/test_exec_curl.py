"""curl under `claviger exec`: vaults and login hosts of the cloud are here, everything else is where it always was."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from claviger.core.clock import SystemClock
from claviger.server.authority import open_authority
from claviger.server.contexts import load_leaf, new_context
from tests.executing import Shell
from tests.needs import missing
from tests.wire_server import MemoryBox

TOKEN = """
    curl -qsS -d grant_type=client_credentials -d "client_id=$AZURE_CLIENT_ID" \
        -d scope=https://vault.azure.net/.default --data-urlencode "client_secret=$AZURE_CLIENT_SECRET" \
        "https://login.microsoftonline.com/$AZURE_TENANT_ID/oauth2/v2.0/token"
"""


@pytest.fixture(scope="module", autouse=True)
def curl() -> None:
    if shutil.which("curl") is None:
        missing("curl", "`apt-get install curl` or `brew install curl`")


def test_the_whole_life_of_a_secret(shell: Shell) -> None:
    script = Path(__file__).parent / "curl" / "whole_life.sh"
    assert shell.said("bash", str(script)).endswith("lived\n")


def test_a_token_from_the_login_host_opens_the_vault(shell: Shell) -> None:
    token = json.loads(shell.said("sh", "-c", TOKEN))["access_token"]
    asking = 'curl -qsS -H "Authorization: Bearer $T" "https://demo.vault.azure.net/secrets?api-version=7.4"'
    told = json.loads(shell.said("sh", "-c", asking, more={"T": token}))
    assert [each["id"].partition("/secrets/")[0] for each in told["value"]] == (
        ["https://demo.vault.azure.net"] * len(told["value"])
    )


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://demo.vault.azure.net/secrets?api-version=7.4", 401),
        ("https://DEMO.vault.azure.net:443/secrets?api-version=7.4", 401),
        ("https://demo.vault.usgovcloudapi.net/secrets?api-version=7.4", 401),
        ("https://demo.vault.microsoftazure.de/secrets?api-version=7.4", 401),
        ("https://no-such-vault.vault.azure.net/secrets?api-version=7.4", 404),
        ("https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration", 200),
        ("https://login.chinacloudapi.cn/common/v2.0/.well-known/openid-configuration", 200),
        ("https://westus2.login.microsoft.com/common/v2.0/.well-known/openid-configuration", 200),
        ("https://sts.windows.net/common/discovery/keys", 200),
        ("https://management.azure.com/metadata/endpoints?api-version=2022-09-01", 200),
        ("https://management.usgovcloudapi.net/subscriptions?api-version=2022-12-01", 401),
        ("https://kms.us-ashburn-1.oraclecloud.com/20180608/vaults?compartmentId=a", 401),
        ("https://b5q6uxdhaahdg-crypto.kms.eu-frankfurt-1.oci.oraclecloud.com/20180608/keys", 401),
        ("https://secrets.vaults.us-ashburn-1.oci.oraclecloud.com/20190301/secretbundles/a", 401),
    ],
)
def test_a_cloud_host_is_here_and_its_certificate_holds(shell: Shell, url: str, status: int) -> None:
    said = shell.said("curl", "-qsS", "-o", "/dev/null", "-w", "%{http_code} %{ssl_verify_result}", url)
    assert said == f"{status} 0"


def test_documents_of_a_login_host_stay_on_it(shell: Shell) -> None:
    url = "https://login.microsoftonline.us/common/v2.0/.well-known/openid-configuration"
    told = json.loads(shell.said("curl", "-qsS", url))
    assert told["token_endpoint"] == "https://login.microsoftonline.us/common/oauth2/v2.0/token"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A server of somebody else's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"untouched")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def elsewhere(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


async def test_another_host_is_reached_as_always_with_its_own_certificate(shell: Shell, tmp_path: Path) -> None:
    """curl is told to trust that server's authority alone: a certificate of ours would not pass."""
    theirs = await open_authority(tmp_path, MemoryBox(), SystemClock())
    tls = new_context()
    load_leaf(tls, theirs.mint(["localhost"]))
    with elsewhere(tls) as port:
        command = ("curl", "-qsSv", "--cacert", str(tmp_path / "ca.pem"), f"https://localhost:{port}/")
        done = shell.run(*command, options=("--quiet",), more={"HTTPS_PROXY": ""})
        assert (done.returncode, done.stdout) == (0, b"untouched"), done.stderr.decode()
        assert f"CONNECT localhost:{port} HTTP/1.1".encode() in done.stderr, "it went through the proxy all the same"
        untrusting = shell.run("curl", "-qsS", f"https://localhost:{port}/", more={"HTTPS_PROXY": ""})
        assert untrusting.returncode == 60, "nobody here vouches for that server"


def test_plain_http_goes_without_the_proxy(shell: Shell) -> None:
    with elsewhere() as port:
        said = shell.said("curl", "-qsS", f"http://localhost:{port}/", more={"HTTP_PROXY": "", "http_proxy": ""})
        assert said == "untouched"


def test_another_host_goes_through_the_users_own_proxy(shell: Shell) -> None:
    shell.guard.expect("internal.example:443")
    done = shell.run("curl", "-qsSv", "https://internal.example/")
    assert done.returncode != 0
    assert b"HTTP/1.1 502 " in done.stderr, "what that proxy answers is not taken for an answer to our credentials"
    assert "internal.example:443" in shell.guard.asked


def test_the_proxy_does_not_carry_plain_http(shell: Shell) -> None:
    done = shell.run("sh", "-c", 'curl -qsS --proxy "$HTTPS_PROXY" http://internal.example/')
    assert done.stdout.startswith(b"claviger exec: this proxy carries https:// only")
