"""Signatures on permits that have left the process: Ed25519 over the permit's canonical bytes (RFC 8032)."""

from __future__ import annotations

import attrs

from tek_abi import CODEC, Permit, TekError, canonical


@attrs.define(str=False)
class SignaturesUnavailable(TekError, RuntimeError):
    """Signing needs a library that is not installed."""

    def __str__(self) -> str:
        return "signatures need the package 'cryptography': pip install 'tek[signatures]'"


def signed_bytes(permit: Permit) -> bytes:
    """Return what a permit's signature covers: its canonical JSON without the signature."""
    return canonical(CODEC.encode(attrs.evolve(permit, sig=None)))


def sign(permit: Permit, private_key: bytes) -> Permit:
    """Return the permit with a signature by a raw 32-byte Ed25519 key, in hex."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise SignaturesUnavailable from None
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(signed_bytes(permit))
    return attrs.evolve(permit, sig=signature.hex())


@attrs.frozen
class Verifier:
    """Checks signatures against the raw 32-byte public keys that the operator trusts."""

    keys: tuple[bytes, ...] = ()

    def accepts(self, permit: Permit) -> bool:
        """Whether the permit is unsigned, thus local, or signed by a trusted key.

        A signature that cannot be checked, for want of a key or of the library, is not accepted.
        """
        return permit.sig is None or any(_verifies(key, permit) for key in self.keys)


def _verifies(key: bytes, permit: Permit) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return False
    try:
        signature = bytes.fromhex(permit.sig or "")
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_bytes(permit))
    except (InvalidSignature, ValueError):
        return False
    return True


NO_KEYS = Verifier()
"""Trusts no key: a signed permit authorises nothing."""
