"""Whom TLS trusts, and how it says who asks."""

from __future__ import annotations

import os
import ssl
from typing import Final

import attrs

from tek_kernel.effect import EffectError


@attrs.frozen
class Trust:
    """PEM files by path. ``ca_file`` holds the authorities that servers are verified against, in place of the
    system's store; ``client_cert`` is a certificate with its chain, and its key, for servers that ask for one.
    """

    ca_file: str | None = None
    client_cert: tuple[str, str] | None = None


SYSTEM_TRUST: Final = Trust()
"""The system's store, and no certificate of one's own."""


def client_tls(trust: Trust) -> ssl.SSLContext:
    """Return how to speak TLS with servers, which are always verified.

    Raises ``EffectError`` with code tls for a file that cannot be used, and where the system has no store.
    """
    ca_file, client_cert = trust.ca_file, trust.client_cert
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        message = f"the authorities of {ca_file or 'the system'} cannot be read: {_reason(error)}"
        raise EffectError("tls", message) from None
    if ca_file is None and not _has_store(context):
        raise EffectError(
            "tls",
            "this machine has no store of certificate authorities to verify servers against: install its package "
            "ca-certificates, or name a PEM file of authorities in the configuration as ca_file",
        )
    if client_cert is not None:
        _show(context, *client_cert)
    # Python 3.11 and earlier let OpenSSL 3 take a cut connection for the end of a body.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def _has_store(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return True
    # A folder of authorities is read as they are needed.
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and len(os.listdir(folder)) > 0


def _show(context: ssl.SSLContext, certificate: str, key: str) -> None:
    asked = False

    def no_password() -> str:
        # Without an answer OpenSSL would ask on the terminal.
        nonlocal asked
        asked = True
        return ""

    try:
        context.load_cert_chain(certificate, key, no_password)
    except (OSError, ValueError) as error:
        why = "the key is encrypted; give one that is not" if asked else _reason(error)
        raise EffectError("tls", f"the client certificate {certificate} with key {key} cannot be used: {why}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
