"""Authorities of every kind: roots, intermediates, renewed and false ones, and clients' certificates of each."""

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def name(text):
    """The name that RFC 4514 writes as `text`: the last part of it comes first in the certificate."""
    kinds = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}
    parts = [part.split("=") for part in reversed(text.split(","))]
    return x509.Name([x509.NameAttribute(kinds[kind], value) for kind, value in parts])


def is_address(host):
    return host.replace(".", "").isdigit() or ":" in host


class Holder:
    """A name with a key and a certificate. `above` are the certificates that lead to its root."""

    def __init__(self, folder, subject, issuer=None, key=None, authority=True, seconds=86400, hosts=()):
        """`issuer` signs it; without one it signs itself. `hosts` are names and addresses."""
        self.subject, self.key, self.folder = subject, key or ec.generate_private_key(ec.SECP256R1()), folder
        signer = issuer or self
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(signer.subject))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            # Of several of one name, this tells whose key it was.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        )
        if hosts:
            alternatives = [x509.IPAddress(ipaddress.ip_address(host)) if is_address(host) else x509.DNSName(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()
        self.above = "" if issuer is None else (issuer.pem + issuer.above)

    def sub(self, subject, **options):
        """An authority below this one."""
        return Holder(self.folder, subject, self, **options)

    def renewed(self, issuer=None):
        """The same name and key with another certificate."""
        return Holder(self.folder, self.subject, issuer, key=self.key)

    def client(self, subject, **options):
        """(chain, key) paths of a client's certificate, with the intermediates that lead to its root."""
        return Holder(self.folder, subject, self, authority=False, **options).save()

    def server(self, *hosts, **options):
        """The same of a server's, for these names and addresses."""
        return self.client("CN=server", hosts=hosts, **options)

    def save(self):
        made = self
        base = os.path.join(self.folder, os.urandom(6).hex())
        with open(base + ".crt", "w") as out:
            out.write(made.pem + made.above)
        with open(base + ".key", "wb") as out:
            out.write(made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.files = base + ".crt", base + ".key"
        return made.files


def bundle(folder, *holders):
    """A PEM file of their certificates."""
    path = os.path.join(folder, os.urandom(6).hex() + ".pem")
    with open(path, "w") as out:
        out.write("".join(holder.pem for holder in holders))
    return path
