"""Where root keys come from: made once, never overwritten, never exposed, never half-written."""

from __future__ import annotations

import base64
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from claviger.core.errors import Damaged, Misconfigured, Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_file import KeyFile, PassphraseFile, passphrase_from_file
from claviger.crypto.root_key import EnvironmentKeys, RootKey, RootKeySource

NOW = 1_790_000_000.5
CHEAP = 4  # log2 N of scrypt: these tests are not about its cost
OLD, NEW, WRONG = (Sensitive(f"{word} horse battery staple") for word in ("old", "new", "wrong"))


def passphrase_file(path: Path, passphrase: Sensitive = OLD, new: Sensitive | None = None) -> PassphraseFile:
    return PassphraseFile(path, passphrase, new, log2_n=CHEAP)


@pytest.fixture(params=[KeyFile, passphrase_file])
def make(request: pytest.FixtureRequest) -> Callable[[Path], RootKeySource]:
    made: Callable[[Path], RootKeySource] = request.param
    return made


def ids(keys: list[RootKey]) -> list[str]:
    return [key.id for key in keys]


def refused(refusal: type[Refusal], reason: str, call: Callable[[], object]) -> Refusal:
    with pytest.raises(refusal) as told:
        call()
    assert told.value.reason == reason
    assert told.value.facts.get("fix")
    return told.value


class Crash(BaseException):
    """Stands for kill -9."""


def _crash(patch: pytest.MonkeyPatch, crash_at: str) -> None:
    name = crash_at.split(maxsplit=1)[0]
    real, passes = getattr(os, name), [crash_at == "fsync of the folder"]

    def crashing(*args: object, **more: object) -> object:
        if passes and passes.pop():
            return real(*args, **more)
        raise Crash

    patch.setattr(os, name, crashing)


class TestFiles:
    """What holds for the key file and the passphrase file alike."""

    def test_nothing_is_read_where_nothing_was_made(self, make, tmp_path):
        assert make(tmp_path / "root.key").read() == []
        assert list(tmp_path.iterdir()) == []

    def test_the_first_key_is_made_once(self, make, tmp_path):
        path = tmp_path / "root.key"
        first = make(path).next_after(None, NOW)
        assert first.created_at == int(NOW)
        assert re.fullmatch("[0-9a-f]{32}", first.id)
        content = path.read_bytes()
        assert make(path).next_after(None, NOW + 9).id == first.id
        assert ids(make(path).read()) == [first.id]
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_many_who_start_at_once_get_the_same_key(self, make, tmp_path):
        got: list[str] = []
        makers = [
            threading.Thread(target=lambda: got.append(make(tmp_path / "root.key").next_after(None, NOW).id))
            for _ in range(8)
        ]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        assert len(got) == 8
        assert len(set(got)) == 1

    def test_the_next_key_is_made_once_and_stands_behind(self, make, tmp_path):
        path = tmp_path / "root.key"
        first = make(path).next_after(None, NOW)
        second = make(path).next_after(first.id, NOW + 1)
        assert make(path).next_after(first.id, NOW + 2).id == second.id
        third = make(path).next_after(second.id, NOW + 3)
        assert ids(make(path).read()) == [first.id, second.id, third.id]
        assert make(path).next_after(None, NOW).id == third.id

    def test_there_is_no_next_of_a_key_that_is_not_there(self, make, tmp_path):
        source = make(tmp_path / "root.key")
        source.next_after(None, NOW)
        refused(Misconfigured, "RootKeyMissing", lambda: source.next_after("0" * 32, NOW))
        assert len(source.read()) == 1

    def test_keys_are_removed_but_never_the_last(self, make, tmp_path):
        source = make(tmp_path / "root.key")
        first = source.next_after(None, NOW)
        second = source.next_after(first.id, NOW)
        source.remove({first.id, "unknown"})
        source.remove({first.id})
        assert ids(source.read()) == [second.id]
        source.remove({second.id})
        assert ids(source.read()) == [second.id]

    def test_the_keys_that_are_read_are_the_keys_that_were_made(self, make, tmp_path):
        made = make(tmp_path / "root.key").next_after(None, NOW)
        sealed = made.key.seal(b"value", b"here")
        (read,) = make(tmp_path / "root.key").read()
        assert read.key.open(sealed, b"here") == b"value"
        assert read.created_at == int(NOW)

    def test_every_changed_byte_is_noticed_or_harmless(self, make, tmp_path):
        path = tmp_path / "root.key"
        made = make(path).next_after(None, NOW)
        sealed = made.key.seal(b"value", b"")
        content = path.read_bytes()
        comment = range(content.index(b"#"), content.index(b"\n", content.index(b"#")))
        noticed = 0
        for at in set(range(len(content))) - set(comment[1:]):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            try:
                keys = make(path).read()
            except (Damaged, Misconfigured):
                noticed += 1
            else:  # the date of a plain key, or a bit of base64 that carries nothing
                assert [key.key.open(sealed, b"") for key in keys if key.id == made.id] == [b"value"]
        assert noticed > 100

    @pytest.mark.parametrize(
        "change",
        [
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content + b"\n",
            lambda content: content + b"word\n",
            lambda content: b"claviger-root-keys 2" + content[content.index(b"\n") :],
            lambda content: content + b"# \xff\n",
            lambda content: content + b"#" * 65536 + b"\n",
        ],
    )
    def test_a_damaged_file_is_refused_and_left_alone(self, make, tmp_path, change):
        path = tmp_path / "root.key"
        source = make(path)
        source.next_after(None, NOW)
        path.write_bytes(change(path.read_bytes()))
        content = path.read_bytes()
        refused(Damaged, "RootKeyFile", make(path).read)
        refused(Damaged, "RootKeyFile", lambda: make(path).next_after(None, NOW))
        assert path.read_bytes() == content

    @pytest.mark.parametrize("crash_at", ["fchmod", "fsync of the file", "link", "replace", "fsync of the folder"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_crash_leaves_the_old_file_or_the_new_one(self, make, tmp_path, crash_at, is_first, monkeypatch):
        if crash_at == ("replace" if is_first else "link"):
            return  # a first file is linked into place, a later one replaces
        path = tmp_path / "root.key"
        kept = [] if is_first else [make(path).next_after(None, NOW).id]
        current = None if is_first else kept[0]
        with monkeypatch.context() as patch:
            _crash(patch, crash_at)
            with pytest.raises(Crash):
                make(path).next_after(current, NOW)
        found = ids(make(path).read())
        assert found[: len(kept)] == kept
        assert len(found) - len(kept) == (crash_at == "fsync of the folder")
        after = make(path).next_after(current, NOW)
        assert ids(make(path).read()) == [*kept, after.id]
        assert after.id in found or crash_at != "fsync of the folder"
        assert sorted(tmp_path.iterdir()) == [path, tmp_path / "root.key.lock"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_file_that_appears_meanwhile_is_not_replaced(self, make, tmp_path, monkeypatch):
        path, other = tmp_path / "root.key", tmp_path / "other.key"
        kept = make(other).next_after(None, NOW)
        real_fsync = os.fsync

        def fsync(descriptor: int) -> None:
            if not path.exists():
                path.write_bytes(other.read_bytes())
                path.chmod(0o600)
            real_fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            patch.setattr(Path, "exists", lambda self: False)
            refused(Misconfigured, "RootKeyFileUnreadable", lambda: make(path).next_after(None, NOW))
        assert ids(make(path).read()) == [kept.id]

    def test_a_link_to_the_file_stays_a_link(self, make, tmp_path):
        real, link = tmp_path / "real.key", tmp_path / "link.key"
        first = make(real).next_after(None, NOW)
        link.symlink_to(real)
        second = make(link).next_after(first.id, NOW)
        assert link.is_symlink()
        assert ids(make(real).read()) == [first.id, second.id]

    def test_a_missing_directory_is_said(self, make, tmp_path):
        source = make(tmp_path / "missing" / "root.key")
        told = refused(Misconfigured, "RootKeyFileUnreadable", lambda: source.next_after(None, NOW))
        assert str(tmp_path / "missing") in str(told)

    def test_keys_do_not_show(self, make, tmp_path):
        source = make(tmp_path / "root.key")
        key = source.next_after(None, NOW)
        secret = (tmp_path / "root.key").read_text().split()[-1]
        shown = repr(key) + repr(source) + source.description + repr(key.key) + str(vars(source))
        assert secret[:16] not in shown or make is passphrase_file  # the sealed form is no secret
        assert OLD.reveal_text() not in shown


class TestKeyFile:
    @pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o610, 0o666])
    def test_a_file_that_others_may_touch_is_refused(self, tmp_path, mode):
        path = tmp_path / "root.key"
        first = KeyFile(path).next_after(None, NOW)
        path.chmod(mode)
        told = refused(Misconfigured, "RootKeyFileExposed", KeyFile(path).read)
        assert f"chmod 600 {path}" in str(told)
        refused(Misconfigured, "RootKeyFileExposed", lambda: KeyFile(path).next_after(first.id, NOW))

    def test_it_is_made_private_whatever_the_umask(self, tmp_path):
        before = os.umask(0)
        try:
            KeyFile(tmp_path / "root.key").next_after(None, NOW)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "root.key").stat().st_mode) == 0o600

    def test_a_key_that_does_not_fit_its_id_is_refused(self, tmp_path):
        one, other = tmp_path / "one", tmp_path / "other"
        KeyFile(one).next_after(None, NOW)
        KeyFile(other).next_after(None, NOW)
        swapped = one.read_text().replace(one.read_text().split()[-1], other.read_text().split()[-1])
        one.write_text(swapped)
        told = refused(Damaged, "RootKeyFile", KeyFile(one).read)
        assert swapped.split()[-1] not in str(told) + repr(told)


class TestPassphraseFile:
    def test_the_wrong_passphrase_is_said(self, tmp_path):
        path = tmp_path / "root.sealed"
        passphrase_file(path).next_after(None, NOW)
        content = path.read_bytes()
        told = refused(Misconfigured, "WrongPassphrase", passphrase_file(path, WRONG).read)
        assert WRONG.reveal_text() not in str(told)
        refused(Misconfigured, "WrongPassphrase", lambda: passphrase_file(path, WRONG).next_after(None, NOW))
        assert path.read_bytes() == content

    def test_a_short_passphrase_is_refused(self, tmp_path):
        refused(
            Misconfigured,
            "PassphraseTooShort",
            lambda: passphrase_file(tmp_path / "root.sealed", Sensitive("short")),
        )
        refused(Misconfigured, "PassphraseTooShort", lambda: passphrase_file(tmp_path / "x", OLD, Sensitive("short")))

    def test_neither_passphrase_nor_key_is_in_the_file(self, tmp_path):
        path = tmp_path / "root.sealed"
        passphrase_file(path).next_after(None, NOW)
        words = path.read_text().split("\n")[2].split(" ")
        assert OLD.reveal_text() not in path.read_text()
        assert words[2:6] == ["scrypt", str(CHEAP), "8", "3"]
        assert len(base64.b64decode(words[7])) == 61  # sealed, not plain

    def test_two_keys_under_one_passphrase_have_nothing_in_common(self, tmp_path):
        source = passphrase_file(tmp_path / "root.sealed")
        source.next_after(source.next_after(None, NOW).id, NOW)
        one, other = [line.split(" ") for line in (tmp_path / "root.sealed").read_text().split("\n")[2:4]]
        assert one[0] != other[0]
        assert one[6] != other[6]

    def test_the_passphrase_changes_with_a_rotation(self, tmp_path):
        path = tmp_path / "root.sealed"
        first = passphrase_file(path).next_after(None, NOW)
        second = passphrase_file(path, OLD, NEW).next_after(first.id, NOW)
        assert passphrase_file(path, OLD, NEW).next_after(first.id, NOW).id == second.id
        assert ids(passphrase_file(path, OLD, NEW).read()) == [first.id, second.id]
        assert ids(passphrase_file(path, NEW, OLD).read()) == [first.id, second.id]
        assert ids(passphrase_file(path, OLD).read()) == [first.id]
        assert ids(passphrase_file(path, NEW).read()) == [second.id]

    def test_a_first_key_is_made_under_the_present_passphrase(self, tmp_path):
        first = passphrase_file(tmp_path / "root.sealed", OLD, NEW).next_after(None, NOW)
        assert ids(passphrase_file(tmp_path / "root.sealed", OLD).read()) == [first.id]

    def test_a_key_left_over_under_another_passphrase_is_not_taken(self, tmp_path):
        path = tmp_path / "root.sealed"
        first = passphrase_file(path).next_after(None, NOW)
        left_over = passphrase_file(path, OLD, WRONG).next_after(first.id, NOW)
        second = passphrase_file(path, OLD, NEW).next_after(first.id, NOW)
        assert second.id != left_over.id
        assert ids(passphrase_file(path, NEW).read()) == [second.id]

    @pytest.mark.parametrize("cost", ["15 8 3 x", "25 8 3", "24 32 1", "0 8 3", "15 0 3", "15 8 17", "-1 8 3"])
    def test_a_cost_that_would_take_the_machine_down_is_refused(self, tmp_path, cost):
        path = tmp_path / "root.sealed"
        passphrase_file(path).next_after(None, NOW)
        path.write_text(path.read_text().replace(f"scrypt {CHEAP} 8 3", f"scrypt {cost}"))
        refused(Damaged, "RootKeyFile", passphrase_file(path).read)

    def test_the_passphrase_of_a_file_is_its_first_line(self, tmp_path):
        path = tmp_path / "passphrase"
        path.write_bytes(OLD.reveal() + b"\r\nsecond line\n")
        assert passphrase_from_file(path) == OLD
        refused(Misconfigured, "PassphraseFile", lambda: passphrase_from_file(tmp_path / "missing"))


class TestEnvironment:
    ONE, OTHER = (Sensitive(base64.b64encode(bytes([number]) * 32)) for number in (1, 2))

    def test_the_ids_are_the_same_every_time(self):
        assert ids(EnvironmentKeys(self.ONE).read()) == ids(EnvironmentKeys(self.ONE).read())
        assert ids(EnvironmentKeys(self.ONE).read()) != ids(EnvironmentKeys(self.OTHER).read())

    def test_the_next_key_must_be_given(self):
        (first,) = EnvironmentKeys(self.ONE).read()
        told = refused(Misconfigured, "NewRootKeyMissing", lambda: EnvironmentKeys(self.ONE).next_after(first.id, NOW))
        assert "CLAVIGER_ROOT_KEY_NEW" in str(told)
        both = EnvironmentKeys(self.ONE, self.OTHER)
        assert both.next_after(first.id, NOW).id == both.read()[1].id
        assert EnvironmentKeys(self.ONE).next_after(None, NOW).id == first.id
        both.remove({first.id})
        assert len(both.read()) == 2

    def test_the_same_key_twice_is_one_key(self):
        same = EnvironmentKeys(self.ONE, self.ONE)
        refused(Misconfigured, "NewRootKeyMissing", lambda: same.next_after(same.read()[0].id, NOW))

    @pytest.mark.parametrize("text", ["", "password", "A" * 42 + "=", "é" * 44, base64.b64encode(b"1" * 31).decode()])
    def test_anything_but_32_bytes_is_refused(self, text):
        told = refused(Misconfigured, "RootKeyEnvironment", lambda: EnvironmentKeys(Sensitive(text)))
        assert "CLAVIGER_ROOT_KEY" in str(told)
        assert not text or text not in str(told)
        told = refused(Misconfigured, "RootKeyEnvironment", lambda: EnvironmentKeys(self.ONE, Sensitive(text)))
        assert "CLAVIGER_ROOT_KEY_NEW" in str(told)
