"""A certificate of the test's own, for servers and for those who ask."""

from __future__ import annotations

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@attrs.frozen
class Pki:
    """A self-signed certificate for ``app.localhost`` and 127.0.0.1. Who reads ``ca_file`` trusts ``server``."""

    ca_file: str
    server: ssl.SSLContext
    key: str


def make_pki(folder: Path) -> Pki:
    """Write ``cert.pem`` and ``key.pem`` into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tek test")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [x509.DNSName("app.localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    alternatives.append(x509.IPAddress(ip_address("::1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return Pki(str(folder / "cert.pem"), server, str(folder / "key.pem"))
