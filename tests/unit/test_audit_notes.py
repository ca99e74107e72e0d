"""Signed notes, checkpoints and witness files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.audit.signed_note import Checkpoint, PublicKey, Signer, checkpoint_of
from claviger.audit.witness import FileWitness, notes_in, read_witness
from claviger.core.errors import Damaged, Invalid, Misconfigured
from claviger.core.sensitive import Sensitive

# The example of the definition of signed notes, as golang.org/x/mod/sumdb/note prints it.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ANSWER = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    "\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Signer("claviger/audit/test", Sensitive(bytes(range(32))))
TEXT = Checkpoint("claviger/audit/test", 12, bytes(32), 1_800_000_000).text()


def test_the_example_of_the_definition():
    key = PublicKey.parse(NEUMANN)
    assert str(key) == NEUMANN
    assert key.opened(ANSWER) == ANSWER.split("\n\n", maxsplit=1)[0] + "\n"


def test_what_is_signed_opens_and_nothing_else_does():
    note = SIGNER.signed(TEXT)
    assert SIGNER.public.opened(note) == TEXT
    assert PublicKey.parse(str(SIGNER.public)).opened(note) == TEXT
    raw = note.encode()
    for at in range(len(raw)):
        for bit in (1, 32):
            spoilt = raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]
            with pytest.raises(Damaged):
                SIGNER.public.opened(spoilt.decode("utf-8", "replace"))
    for spoilt_note in (note[:-1], note + "\n", note + TEXT, TEXT, "", note.replace("\n\n", "\n")):
        with pytest.raises(Damaged):
            SIGNER.public.opened(spoilt_note)


def test_another_key_of_the_same_name_does_not_do():
    other = Signer("claviger/audit/test", Sensitive(bytes(32)))
    with pytest.raises(Damaged, match="this key"):
        SIGNER.public.opened(other.signed(TEXT))
    both = other.signed(TEXT) + SIGNER.signed(TEXT).rpartition("\n\n")[2]
    assert SIGNER.public.opened(both) == TEXT


@pytest.mark.parametrize(
    "text", ["", "x", NEUMANN + "A", NEUMANN.replace("c7", "c8"), NEUMANN.replace("+AR", "+BR"), "a+b+c"]
)
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(Invalid):
        PublicKey.parse(text)


def test_a_signer_does_not_show_its_key():
    assert repr(SIGNER) == "<signer claviger/audit/test>"


@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32), st.integers(0, 10**12))
def test_a_checkpoint_comes_back(size: int, root: bytes, at: int):
    made = Checkpoint("claviger/audit/x", size, root, at)
    assert checkpoint_of(made.text()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "more\n",
        TEXT.replace("12", "012"),
        TEXT.replace("12", "-1"),
        TEXT.replace("12", "1_2"),
        TEXT.replace("AAAA", "AA", 1),
        TEXT.replace("time", "Time"),
        TEXT.replace("time 1", "time +1"),
        TEXT.replace("claviger/audit/test", ""),
    ],
)
def test_what_is_no_checkpoint_is_damage(text: str):
    with pytest.raises(Damaged):
        checkpoint_of(text)


async def test_a_witness_only_grows_and_mends_a_line_cut_short(tmp_path: Path):
    path = tmp_path / "witness"
    witness = FileWitness(path)
    assert await witness.last() is None
    await witness.show("first\n\nnote\n")
    with path.open("ab") as file:
        file.write(b'{"checkpoint":"cut sho')
    await witness.show("second\n")
    assert await witness.last() == "second\n"
    assert read_witness(path) == (["first\n\nnote\n", "second\n"], [2])
    assert path.stat().st_mode & 0o777 == 0o600
    assert notes_in(b"") == ([], [])


async def test_a_witness_that_cannot_be_written_says_so(tmp_path: Path):
    with pytest.raises(Misconfigured):
        await FileWitness(tmp_path / "no" / "folder").show("x")
    with pytest.raises(Misconfigured):
        read_witness(tmp_path / "none")
