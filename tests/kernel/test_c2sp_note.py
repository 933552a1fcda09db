"""Signed notes and their keys: the vectors of c2sp.org/signed-note and of the reference implementation."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tek_kernel import KeyInvalid, SigningKey, Unproven, VerifierKey
from tek_kernel.note import MAX_NOTE, MAX_SIGNATURES, open_note

SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)  # fmt: skip
GO_NOTE = (
    f"{GO_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

KEY = SigningKey("example.org/a", bytes(32))
OTHER = SigningKey("example.org/b", bytes(range(32)))
NOTE = KEY.sign("one\n\ntwo\n")


def test_the_example_of_the_specification() -> None:
    assert open_note(SPEC_NOTE, VerifierKey.parse(SPEC_KEY), "note") == "This is an example message.\n"


def test_the_reference_implementations_note_is_signed_byte_by_byte() -> None:
    key = SigningKey.parse(GO_SIGNER)
    assert str(key.verifier) == GO_VERIFIER
    assert key.sign(GO_TEXT) == GO_NOTE
    assert open_note(GO_NOTE, VerifierKey.parse(GO_VERIFIER), "note") == GO_TEXT
    assert key.text() == GO_SIGNER


def test_keys_are_read_as_they_are_written_and_seeds_are_not_shown() -> None:
    assert SigningKey.parse(KEY.text()) == KEY
    assert VerifierKey.parse(f"{KEY.verifier}\n") == KEY.verifier
    assert "\\x00" not in repr(KEY)


@pytest.mark.parametrize("text", [SPEC_KEY, GO_VERIFIER])
def test_a_key_with_any_bit_changed_or_any_part_missing_is_none(text: str) -> None:
    for index in range(len(text)):
        for bit in range(7):
            with pytest.raises(KeyInvalid):
                VerifierKey.parse(text[:index] + chr(ord(text[index]) ^ 1 << bit) + text[index + 1 :])
        with pytest.raises(KeyInvalid):
            VerifierKey.parse(text[:index])
        with pytest.raises(KeyInvalid):
            VerifierKey.parse(text[index + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        GO_VERIFIER,
        GO_SIGNER.replace("KEY", "key"),
        GO_SIGNER.replace("c74f20a3", "c74f20a4"),
        GO_SIGNER.replace("PeterNeumann", "Peter Neumann"),
        GO_SIGNER.replace("Fz\n", "\n"),
    ],
)
def test_what_is_no_signing_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(KeyInvalid) as caught:
        SigningKey.parse(text)
    assert "AYEKFALVFG" not in str(caught.value)


def test_a_key_of_another_algorithm_is_refused() -> None:
    material = base64.b64encode(b"\x04" + bytes(32)).decode()
    with pytest.raises(KeyInvalid, match="not an Ed25519 key"):
        VerifierKey.parse(f"witness.example+00000000+{material}")


def test_text_and_signatures_are_parted_at_the_last_empty_line() -> None:
    assert open_note(NOTE, KEY.verifier, "note") == "one\n\ntwo\n"


def signature_of(key: SigningKey, note: bytes) -> bytes:
    return key.sign(note.decode().rpartition("\n\n")[0] + "\n").rpartition(b"\n\n")[2]


def test_signatures_of_unknown_keys_are_ignored() -> None:
    both = NOTE + signature_of(OTHER, NOTE)
    strange = NOTE + "\u2014 witness.example bWFkZSB1cA==\n".encode()
    for note in (both, strange):
        assert open_note(note, KEY.verifier, "note") == "one\n\ntwo\n"
    assert open_note(both, OTHER.verifier, "note") == "one\n\ntwo\n"


def test_a_note_without_the_keys_signature_is_refused_even_if_name_or_id_are_the_keys() -> None:
    namesake = SigningKey(KEY.name, OTHER.seed)
    with pytest.raises(Unproven, match="is not signed by"):
        open_note(OTHER.sign("text\n"), KEY.verifier, "note")
    with pytest.raises(Unproven, match="is not signed by"):
        open_note(namesake.sign("text\n"), KEY.verifier, "note")


def test_one_bad_signature_of_the_key_spoils_the_note() -> None:
    bad = signature_of(KEY, KEY.sign("other\n"))
    for note in (NOTE + bad, NOTE.rpartition(b"\n\n")[0] + b"\n\n" + bad):
        with pytest.raises(Unproven, match="one was changed"):
            open_note(note, KEY.verifier, "note")


@pytest.mark.parametrize(
    "change",
    [
        lambda note: b"",
        lambda note: note[:-1],
        lambda note: note + b"\n",
        lambda note: note.replace(b"\n\n", b"\n"),
        lambda note: note.replace(b"one", b"\xff"),
        lambda note: note.replace(b"one", b"o\rne"),
        lambda note: note.replace(b"one", b"o\0ne"),
        lambda note: note.replace("\u2014".encode(), b"-"),
        lambda note: note.replace(b" example", b"  example"),
        lambda note: note.replace(b"example", b"exa+mple"),
        lambda note: note.replace(b"example", "exa\u00a0mple".encode()),
        lambda note: note[:-2] + b"\n",
        lambda note: note[:-1] + b" \n",
        lambda note: note.rpartition(b" ")[0] + b" AAAA\n",
        lambda note: note.rpartition(b" ")[0] + b" \n",
        lambda note: note + note.rpartition(b"\n\n")[2] * MAX_SIGNATURES,
        lambda note: b"x" * MAX_NOTE + note,
    ],
)
def test_what_is_no_note_is_refused(change: Callable[[bytes], bytes]) -> None:
    changed = change(NOTE)
    assert changed != NOTE
    with pytest.raises(Unproven):
        open_note(changed, KEY.verifier, "note")


def test_only_text_that_a_note_can_hold_is_signed() -> None:
    for text in ("no end", "a\tb\n", "a\r\n"):
        with pytest.raises(ValueError, match="ends with LF"):
            KEY.sign(text)
