"""Contents that the service makes itself: passphrases and random bytes, in a template if the secret has one.

What a template looks like, and which words in it are replaced, is the SDK's description of the generation contexts. The
alphabets and lengths of passphrases are ours: OCI does not publish its own. SSH keys are not offered.
"""

from __future__ import annotations

import base64
import secrets

import msgspec

from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.ocikms.errors import wrong

PASSPHRASE, BYTES, SSH_KEY = "PASSPHRASE", "BYTES", "SSH_KEY"
MAX_TEMPLATE_LENGTH = 4096
_WORD = {PASSPHRASE: "%GENERATED_PASSPHRASE%", BYTES: "%GENERATED_BYTES%"}
_BYTES = {"BYTES_512": 512, "BYTES_1024": 1024}

_UPPER, _LOWER, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"


class _Passphrase(msgspec.Struct, frozen=True):
    special: str
    least: int
    most: int
    usual: int


_PASSPHRASES = {
    "SECRETS_DEFAULT_PASSWORD": _Passphrase("!@#$%^&*()-_=+", 12, 128, 32),
    "DBAAS_DEFAULT_PASSWORD": _Passphrase("_#-", 12, 30, 16),
}


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the contents of a secret are made. `template` is the kind of content, `secret_template` what it stands in."""

    kind: str
    template: str
    length: int | None = None
    secret_template: str | None = None


def check(asked: Generation) -> Generation:
    """Raises Invalid for what cannot be made; Invalid("NotOffered") for SSH keys."""
    if asked.kind == SSH_KEY:
        raise Invalid("NotOffered", message="Generating SSH keys is not offered; send the content instead.")
    if asked.kind not in _WORD:
        raise wrong("generationType", f"must be one of {PASSPHRASE}, {BYTES}, {SSH_KEY}")
    known = tuple(_PASSPHRASES if asked.kind == PASSPHRASE else _BYTES)
    if asked.template not in known:
        raise wrong("generationTemplate", f"must be one of {', '.join(known)}")
    if asked.kind == PASSPHRASE and asked.length is not None:
        of = _PASSPHRASES[asked.template]
        if not of.least <= asked.length <= of.most:
            raise wrong("passphraseLength", f"must be from {of.least} to {of.most}")
    if asked.secret_template is not None and not (
        _WORD[asked.kind] in asked.secret_template and len(asked.secret_template) <= MAX_TEMPLATE_LENGTH
    ):
        raise wrong("secretTemplate", f"must have the word {_WORD[asked.kind]}, and {MAX_TEMPLATE_LENGTH} characters")
    return asked


def generated(by: Generation) -> Sensitive:
    """A new content."""
    if by.kind == BYTES:
        made = secrets.token_bytes(_BYTES[by.template])
        shown = base64.b64encode(made).decode()
    else:
        shown = _passphrase(_PASSPHRASES[by.template], by.length)
        made = shown.encode()
    if by.secret_template is None:
        return Sensitive(made)
    return Sensitive(by.secret_template.replace(_WORD[by.kind], shown, 1))


def _passphrase(of: _Passphrase, length: int | None) -> str:
    """Two of each kind of character, and the rest of any, in any order but a letter first, as databases want it."""
    letters = _UPPER + _LOWER
    kinds = [_UPPER, _UPPER, _LOWER, _LOWER, _DIGITS, _DIGITS, of.special, of.special]
    rest = (length or of.usual) - len(kinds) - 1
    found = [secrets.choice(kind) for kind in kinds]
    found += [secrets.choice(letters + _DIGITS + of.special) for _ in range(rest)]
    secrets.SystemRandom().shuffle(found)
    return secrets.choice(letters) + "".join(found)
