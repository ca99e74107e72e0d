"""The pytest plugin in the hands of somebody else: a project of their own, run in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PROGRAM = """
import os
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

def remember(value):
    client = SecretClient(os.environ["AZURE_KEYVAULT_URL"], DefaultAzureCredential())
    client.set_secret("greeting", value)
    return client.get_secret("greeting").value

if __name__ == "__main__":
    print(remember("from a program"))
"""
TESTS = """
import os, subprocess, sys, time
from datetime import datetime, timedelta, timezone
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from program import remember

names = []

def test_a_program_that_knows_nothing_of_this(claviger_environ):
    assert remember("hello") == "hello"
    assert os.environ["AZURE_KEYVAULT_URL"] == claviger_environ.url

def test_the_environment_is_as_it_was():
    assert "AZURE_KEYVAULT_URL" not in os.environ
    assert "SSL_CERT_FILE" not in os.environ

def test_a_program_started_by_a_test(claviger_vault):
    with claviger_vault.environ(EXTRA="x"):
        done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "from a program\\n", done.stderr

@pytest.mark.parametrize("time", [1, 2])
def test_each_test_has_a_vault_of_its_own(claviger_vault, time):
    client = claviger_vault.client()
    assert list(client.list_properties_of_secrets()) == []
    client.set_secret("a", "1")
    names.append(claviger_vault.name)
    assert len(names) == len(set(names)) == time

@pytest.mark.claviger_vault(retention_days=7, purge_protection=True)
def test_settings_of_the_vault(claviger_vault):
    client = claviger_vault.client()
    client.set_secret("a", "1")
    deleted = client.begin_delete_secret("a").result()
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=7)
    with pytest.raises(HttpResponseError) as refused:
        client.purge_deleted_secret("a")
    assert refused.value.status_code == 403

@pytest.mark.claviger_vault(rbac=False)
def test_a_vault_with_access_policies(claviger_vault):
    client = claviger_vault.client()
    client.set_secret("a", "1")
    client.begin_delete_secret("a").wait()
    client.purge_deleted_secret("a")

def test_ninety_days_in_a_moment(claviger_vault):
    client = claviger_vault.client()
    client.set_secret("a", "1")
    client.begin_delete_secret("a").wait()
    claviger_vault.clock.advance(timedelta(days=89), hours=23)
    assert [each.name for each in client.list_deleted_secrets()] == ["a"]
    claviger_vault.clock.advance(days=1)
    assert list(client.list_deleted_secrets()) == []

def test_the_clock_is_put_back(claviger_vault):
    assert abs(claviger_vault.clock.now() - time.time()) < 60

def test_time_stands_still(claviger_vault):
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    claviger_vault.clock.freeze(at)
    assert claviger_vault.client().set_secret("a", "1").properties.created_on == at
    assert claviger_vault.clock.now() == at.timestamp()
    claviger_vault.clock.run()
    claviger_vault.clock.set(at.timestamp() + 3600)
    assert claviger_vault.clock.now() - at.timestamp() >= 3600
    claviger_vault.clock.reset()

def test_faults_and_retries(claviger, claviger_vault):
    client = claviger_vault.client()
    client.set_secret("a", "1")
    with claviger_vault.fault(status=429, retry_after_s=0, count=2, operation="SecretGet") as fault:
        assert client.get_secret("a").value == "1"
        assert fault.hits == 2
    impatient = claviger_vault.client(retry_total=0)
    with claviger_vault.fault(status=503):
        with pytest.raises(HttpResponseError):
            impatient.get_secret("a")
        claviger.make_vault().client(retry_total=0).set_secret("b", "other vaults are not hit")
    with claviger_vault.fault("drop"), pytest.raises((ServiceRequestError, ServiceResponseError)):
        impatient.get_secret("a")
    assert impatient.get_secret("a").value == "1"
    claviger_vault.fault(status=503)

def test_faults_are_put_back(claviger):
    assert claviger.switchboard.show()["faults"] == []

def test_delays_and_revoked_tokens(claviger, claviger_vault):
    client = claviger_vault.client()
    client.set_secret("a", "1")
    claviger.delays(delete_s=3600)
    client.begin_delete_secret("a")
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("a")
    claviger.limits(creates=1)

async def test_inside_an_event_loop(claviger_vault):
    from azure.identity.aio import ClientSecretCredential
    from azure.keyvault.secrets.aio import SecretClient
    with claviger_vault.environ() as env:
        options = {"authority": env["AZURE_AUTHORITY_HOST"], "disable_instance_discovery": True}
        ids = [os.environ[name] for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")]
        async with ClientSecretCredential(*ids, **options) as credential:
            async with SecretClient(claviger_vault.url, credential) as client:
                await client.set_secret("a", "1")
    claviger_vault.server.make_vault()

def test_a_seed(claviger):
    assert claviger.vault("seeded").client().get_secret("greeting").value == "from the seed"

def test_the_server_and_its_files(claviger):
    assert claviger.url == claviger.env["AZURE_KEYVAULT_URL"] == f"https://demo.vault.localhost:{claviger.port}"
    assert claviger.ca_file.exists() and claviger.data.is_dir()
    assert "error" not in claviger.log.read_text()
    with claviger.environ():
        assert remember("demo") == "demo"
"""
CONFTEST = """
import pytest

@pytest.fixture(scope="session")
def claviger_seed():
    return "seed.toml"
"""
SEED = 'vault = { name = "seeded" }\nroles = [{ role = "Secrets User", to = "demo" }]\n'
SEED += '[secrets.greeting]\nvalue = "from the seed"\n'
BLOCKING = """
import sys

class NoAzure:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "azure":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoAzure())
"""
UNRESOLVED = """
import os, socket, sys
import pytest

real = socket.getaddrinfo

def getaddrinfo(host, *rest, **more):
    if str(host).endswith(".localhost"):
        raise socket.gaierror(-2, "Name or service not known")
    return real(host, *rest, **more)

socket.getaddrinfo = getaddrinfo
os.environ["PYTHONPATH"] = "elsewhere"
os.environ["NODE_OPTIONS"] = "--no-warnings"
os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Somebody's project, in an environment with settings of theirs that are not for this server."""
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n")
    monkeypatch.setenv("CLAVIGER_LISTEN", "not an address")
    monkeypatch.setenv("CLAVIGER_DEMO", "false")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(
        "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--basetemp", str(project.path / "tmp"), *arguments
    )


def server_pid(project: pytest.Pytester) -> int:
    (told,) = (project.path / "tmp").glob("claviger[0-9]/data/server.json")
    return int(json.loads(told.read_bytes())["pid"])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_comes_with_the_package():
    (found,) = [each for each in entry_points(group="pytest11") if each.name == "claviger"]
    assert found.value == "claviger.testing.plugin"


def test_pytest_starts_as_fast_as_without_it():
    heavy = ["asyncio", "azure", "click", "cryptography", "httptools", "msgspec", "apsw", "psycopg", "ssl", "uvicorn"]
    code = f"""
import sys, pytest
before = set(sys.modules)
import claviger.testing.plugin
print(sorted(({heavy!r} and set({heavy!r})) & (set(sys.modules) - before)))
print(sorted(name for name in sys.modules if name.startswith("claviger")))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "[]"
    ours = [
        "claviger",
        "claviger.testing",
        "claviger.testing.handles",
        "claviger.testing.names",
        "claviger.testing.plugin",
    ]
    assert said[1] == str(ours)


def test_a_project_of_somebody_else(project: pytest.Pytester):
    project.makepyfile(program=PROGRAM, test_theirs=TESTS)
    project.makeconftest(CONFTEST)
    (project.path / "seed.toml").write_text(SEED)
    result = run(project, "--strict-markers", "-W", "error::pytest.PytestUnknownMarkWarning")
    result.assert_outcomes(passed=TESTS.count("def test_") + 1)
    assert not is_running(server_pid(project))


def test_without_the_sdk(project: pytest.Pytester):
    project.makeconftest(BLOCKING)
    project.makepyfile("""
        import json, ssl, urllib.request
        import pytest

        def test_plain_requests(claviger_vault):
            context = ssl.create_default_context(cafile=str(claviger_vault.server.ca_file))
            with pytest.raises(urllib.request.HTTPError) as refused:
                urllib.request.urlopen(f"{claviger_vault.url}/secrets?api-version=7.4", context=context)
            assert "authorization=" in refused.value.headers["WWW-Authenticate"]

        def test_no_client(claviger_vault):
            with pytest.raises(ModuleNotFoundError, match="azure"):
                claviger_vault.client()
    """)
    run(project).assert_outcomes(passed=2)


def test_where_the_names_do_not_resolve(project: pytest.Pytester):
    project.makeconftest(UNRESOLVED)
    project.makepyfile(program=PROGRAM)
    project.makepyfile("""
        import os, socket, subprocess, sys
        from program import remember

        def test_this_process(claviger_environ):
            assert remember("hello") == "hello"

        def test_others(claviger_environ):
            assert os.environ["PYTHONPATH"].endswith("elsewhere")
            assert os.environ["NODE_OPTIONS"].startswith("--require=")
            assert os.environ["NODE_OPTIONS"].endswith(" --no-warnings")
            assert ".localhost" in os.environ["NO_PROXY"]
            code = "import socket; print(socket.getaddrinfo('a.b.localhost', 1)[0][4][0])"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            assert done.stdout == "127.0.0.1\\n", done.stderr

        def test_all_is_put_back():
            assert os.environ["PYTHONPATH"] == "elsewhere"
            assert "NO_PROXY" not in os.environ
    """)
    run(project).assert_outcomes(passed=3)


def test_a_setting_that_is_wrong_is_told(project: pytest.Pytester):
    project.makepyfile("""
        import pytest

        @pytest.fixture(scope="session")
        def claviger_settings():
            return {"CLAVIGER_SWEEP_S": "soon"}

        def test_it(claviger):
            pass
    """)
    result = run(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Claviger did not start*", "*CLAVIGER_SWEEP_S*"])


def test_a_killed_session_leaves_no_server(project: pytest.Pytester):
    project.makepyfile("""
        import os, signal

        def test_it(claviger):
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert run(project).ret == -signal.SIGKILL
    pid = server_pid(project)
    give_up_at = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < give_up_at, "the server is still there"
        time.sleep(0.1)


def test_nothing_starts_unless_it_is_asked_for(project: pytest.Pytester):
    project.makepyfile("def test_it(): pass")
    run(project).assert_outcomes(passed=1)
    assert not list((project.path / "tmp").glob("claviger*"))
    assert "CLAVIGER_LISTEN" in os.environ
