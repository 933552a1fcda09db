"""Signed notes of C2SP (c2sp.org/signed-note): text with Ed25519 signatures, and the keys that go with them.

Keys are lines of text. A verifier key is as the specification has it; a signing key has the form that
``golang.org/x/mod/sumdb/note`` gave it, so that other tools can sign and check what tek does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

import attrs

from tek_abi import TekError
from tek_kernel.signature import SignaturesUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_NOTE: Final = 1 << 20
"""Bytes of the longest note that is read."""

MAX_SIGNATURES: Final = 100
"""How many signatures a note may carry; all but the one of the key that is asked for are ignored."""

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"
_DASH: Final = "\u2014 "


@attrs.define(str=False)
class KeyInvalid(TekError, ValueError):
    """What was given as a key is none. The text itself is not repeated: it may be a private one."""

    what: str
    problem: str

    def __str__(self) -> str:
        return f"the {self.what} {self.problem}"


@attrs.define(str=False)
class Unproven(TekError, ValueError):
    """A signed note, a checkpoint or a proof does not hold. ``what`` names it."""

    what: str
    problem: str

    def __str__(self) -> str:
        return f"the {self.what} {self.problem}"


def check_key_name(name: str) -> None:
    """Refuse a name that no key can have: empty, or with spaces, ``+`` or control characters."""
    if not name or "+" in name or any(c.isspace() or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise KeyInvalid("key's name", "is empty, or has a space, a + or a control character in it")


@attrs.frozen(str=False)
class VerifierKey:
    """A public key with its name. ``public`` is 32 bytes, as RFC 8032 encodes it."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+id+base64(0x01 || public)``. Raises ``KeyInvalid``."""
        name, key, material = _parts(text.removesuffix("\n"), "verifier key")
        found = cls(name, material)
        if key != found.id.hex():
            raise KeyInvalid("verifier key", f"{name} is mistyped: its id is not that of its bytes")
        return found

    @property
    def id(self) -> bytes:
        """The four bytes that name this key beside its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` is this key's over ``message``. Raises ``SignaturesUnavailable``."""
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise SignaturesUnavailable from None
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@attrs.frozen(str=False)
class SigningKey:
    """A private key with its name. ``seed`` is 32 bytes, as RFC 8032 has it; it is in no ``repr``."""

    name: str
    seed: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read ``PRIVATE+KEY+name+id+base64(0x01 || seed)``. Raises ``KeyInvalid``, ``SignaturesUnavailable``."""
        if not text.startswith(_PRIVATE):
            raise KeyInvalid("signing key", f"does not start with {_PRIVATE}; tek-runner keygen makes one")
        name, key, material = _parts(text.removeprefix(_PRIVATE).removesuffix("\n"), "signing key")
        found = cls(name, material)
        if key != found.verifier.id.hex():
            raise KeyInvalid("signing key", f"{name} is damaged: its id is not that of its bytes")
        return found

    @property
    def verifier(self) -> VerifierKey:
        """The public key that goes with this one."""
        return VerifierKey(self.name, _private(self.seed).public_key().public_bytes_raw())

    def text(self) -> str:
        """Return the key as a line of text, which is secret."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{base64.b64encode(_ED25519 + self.seed).decode()}\n"

    def sign(self, text: str) -> bytes:
        """Return a note: ``text``, which ends with LF, and this key's signature under it."""
        if not text.endswith("\n") or not _is_note_text(text):
            raise ValueError("a note's text ends with LF and has no other control characters")
        signature = base64.b64encode(self.verifier.id + _private(self.seed).sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n".encode()


def open_note(data: bytes, key: VerifierKey, what: str) -> str:
    """Return the text of a note that ``key`` has signed. ``what`` names the note in ``Unproven``.

    Signatures of other keys are ignored; one of this key that does not verify spoils the note.
    """
    text, signatures = split_note(data, what)
    known = [signature for name, id_, signature in signatures if (name, id_) == (key.name, key.id)]
    if not known:
        raise Unproven(what, f"is not signed by {key.name}+{key.id.hex()}")
    if not all(key.verifies(signature, text.encode()) for signature in known):
        raise Unproven(what, f"has a signature of {key.name}+{key.id.hex()} that does not fit it: one was changed")
    return text


def split_note(data: bytes, what: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Return a note's text and its signatures as name, id and signature, none of them checked.

    Raises ``Unproven`` for what is not a note.
    """
    if len(data) > MAX_NOTE:
        raise Unproven(what, f"has {len(data)} bytes; a signed note has at most {MAX_NOTE}")
    try:
        note = data.decode()
    except UnicodeDecodeError:
        raise Unproven(what, "is not UTF-8") from None
    text, blank, signed = note.rpartition("\n\n")
    if not blank or not _is_note_text(note) or not signed.endswith("\n"):
        raise Unproven(what, "is not a signed note: text, an empty line, signatures")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Unproven(what, f"has more than {MAX_SIGNATURES} signatures")
    return text + "\n", [_signature(line, what) for line in lines]


def _signature(line: str, what: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = exact_base64(encoded)
    if not line.startswith(_DASH) or data is None or len(data) < 5:
        raise Unproven(what, "has a line among its signatures that is none")
    try:
        check_key_name(name)
    except KeyInvalid:
        raise Unproven(what, "has a signature of a key that has no valid name") from None
    return name, data[:4], data[4:]


def exact_base64(text: str) -> bytes | None:
    """Return the bytes that ``text`` encodes (RFC 4648, section 4), or ``None`` if it is not their one encoding."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def _is_note_text(text: str) -> bool:
    return all(c >= " " or c == "\n" for c in text)


def _parts(text: str, what: str) -> tuple[str, str, bytes]:
    name, plus, rest = text.partition("+")
    key, second, encoded = rest.partition("+")
    data = exact_base64(encoded)
    if not plus or not second or data is None:
        raise KeyInvalid(what, "is not name+id+base64; it was cut, or is a key of another kind")
    check_key_name(name)
    if data[:1] != _ED25519 or len(data) != 33:
        raise KeyInvalid(what, f"{name} is not an Ed25519 key of 32 bytes")
    return name, key, data[1:]


def _private(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise SignaturesUnavailable from None
    return Ed25519PrivateKey.from_private_bytes(seed)
