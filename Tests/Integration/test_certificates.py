"""Several certificates of one name, and certificates that can serve nobody."""

import datetime
import ipaddress
import os
import re
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from Support.authorities import Holder, bundle
from Support.case import Case

RSA, ECDSA = "RSA-PSS+SHA256:RSA+SHA256", "ECDSA+SHA256"
TENANT = """upstream app { server 127.0.0.1:$app; }
tenant acme { host acme.test a.acme.test b.acme.test; authenticate none; upstream app; }
"""


def made(folder, names=("acme.test",), others=(), curve=ec.SECP256R1, key=None, begins=-1, ends=90, usage=None):
    """(chain, key): one that signed itself, valid between these days from now, for these DNS names and other general names."""
    key, now = key or ec.generate_private_key(curve()), datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme.test")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
    )
    general = [x509.DNSName(name) for name in names] + list(others)
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    base = os.path.join(folder, os.urandom(6).hex())
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    with open(base + ".crt", "wb") as out:
        out.write(builder.sign(key, digest).public_bytes(Encoding.PEM))
    with open(base + ".key", "wb") as out:
        out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return base + ".crt", base + ".key"


class Pairs(Case):
    """A client that knows one type of key gets the certificate of that; one that knows both, the elliptic one."""

    def shake_hands(self, edge, name, signatures, version="1_3", session=()):
        """(kind of signature, subject's names, was resumed, certificates sent) as openssl s_client sees it."""
        asked = ["-servername", name] if name else ["-noservername"]
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.tls}", *asked, "-sigalgs", signatures, f"-tls{version}", "-ign_eof",
             "-showcerts", *session],
            input=f"GET / HTTP/1.1\r\nHost: {name or 'acme.test'}\r\nConnection: close\r\n\r\n",
            capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        kind = re.search(r"Peer signature type: (\S+)", done.stdout)
        kind = kind.group(1).replace("RSA-PSS", "RSA") if kind else None
        sent = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.DOTALL)
        names = []
        if sent:
            certificate = x509.load_pem_x509_certificate(sent[0].encode())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        return kind, names, "Reused" in done.stdout, len(sent)

    def edge(self, *certificates):
        return self.gateway(self.tls_listener(*certificates) + TENANT, app=self.upstream())

    def test_both_of_one_name(self):
        one, other = self.leaf("acme.test", rsa=True), self.leaf("acme.test")
        for order in ((one, other), (other, one)):
            edge = self.edge(*order)
            for name in ("acme.test", "", "nobody.test"):
                for version in ("1_3", "1_2"):
                    for signatures, kind in ((RSA, "RSA"), (ECDSA, "ECDSA"), (f"{RSA}:{ECDSA}", "ECDSA")):
                        with self.subTest(name=name, version=version, signatures=signatures):
                            self.assertEqual(
                                self.shake_hands(edge, name, signatures, version)[:2], (kind, ["acme.test"])
                            )
            edge.stop()

    def test_each_goes_with_its_own_chain(self):
        middle = Holder(self.folder, "CN=Root").sub("CN=Middle")
        chain, key = self.leaf("acme.test")
        longer = os.path.join(self.folder, "longer.crt")
        with open(longer, "w") as out:
            out.write(open(chain).read() + middle.pem)
        edge = self.edge((longer, key), self.leaf("acme.test", rsa=True))
        self.assertEqual(self.shake_hands(edge, "acme.test", ECDSA)[3], 2)
        self.assertEqual(self.shake_hands(edge, "acme.test", RSA)[3], 1)

    def test_a_name_of_its_own_is_served_by_no_wildcard(self):
        edge = self.edge(
            self.leaf("other.test"), self.leaf("a.acme.test", rsa=True), self.leaf("*.acme.test", rsa=True), self.leaf("*.acme.test")
        )
        both = f"{ECDSA}:{RSA}"
        for name, signatures, names in (
            ("a.acme.test", RSA, "a.acme.test"),
            ("a.acme.test", both, "a.acme.test"),
            ("b.acme.test", ECDSA, "*.acme.test"),
            ("b.acme.test", RSA, "*.acme.test"),
            ("", ECDSA, "other.test"),
        ):
            with self.subTest(name=name, signatures=signatures):
                self.assertEqual(self.shake_hands(edge, name, signatures)[1], [names])
        # Of this name there is none for such a client, and it gets no other's.
        self.assertEqual(self.shake_hands(edge, "a.acme.test", ECDSA)[1], [])
        self.assertEqual(self.shake_hands(edge, "", RSA)[1], [])

    def test_one_that_clients_refuse_displaces_none(self):
        for options in ({"begins": -9, "ends": -1}, {"begins": 3, "ends": 9}, {"usage": [ExtendedKeyUsageOID.CLIENT_AUTH]}):
            for names in (("acme.test",), ("*.acme.test", "acme.test")):
                with self.subTest(options=options, names=names):
                    edge = self.edge(made(self.folder, names=names, **options), self.leaf(*names, rsa=True))
                    for name in ("acme.test", ""):
                        self.assertEqual(self.shake_hands(edge, name, f"{ECDSA}:{RSA}")[0], "RSA")
                    edge.stop()
        # Where there is no other it is better than none.
        edge = self.edge(made(self.folder, begins=-9, ends=-1))
        self.assertEqual(self.shake_hands(edge, "acme.test", f"{ECDSA}:{RSA}")[0], "ECDSA")

    def test_more_names_than_the_other(self):
        edge = self.edge(self.leaf("acme.test", "a.acme.test", rsa=True), self.leaf("acme.test"))
        self.assertEqual(self.shake_hands(edge, "acme.test", f"{ECDSA}:{RSA}")[:2], ("ECDSA", ["acme.test"]))
        for name in ("a.acme.test", ""):
            self.assertEqual(self.shake_hands(edge, name, f"{ECDSA}:{RSA}")[:2], ("RSA", ["acme.test", "a.acme.test"]))

    def test_sessions_are_resumed(self):
        edge = self.edge(self.leaf("acme.test", rsa=True), self.leaf("acme.test"))
        for version in ("1_3", "1_2"):
            for signatures in (RSA, ECDSA):
                with self.subTest(version=version, signatures=signatures):
                    file = os.path.join(self.folder, "session")
                    self.shake_hands(edge, "acme.test", signatures, version, ["-sess_out", file])
                    self.assertTrue(self.shake_hands(edge, "acme.test", signatures, version, ["-sess_in", file])[2])

    def test_a_reload_brings_the_second(self):
        one, other = self.leaf("acme.test", rsa=True), self.leaf("acme.test")
        edge = self.edge(one)
        self.assertEqual(self.shake_hands(edge, "acme.test", ECDSA)[0], None)
        edge.write(self.tls_listener(one, other) + TENANT)
        self.assertIn("certificate", edge.reload())
        self.assertEqual(self.shake_hands(edge, "acme.test", ECDSA)[0], "ECDSA")


class Doubts(Case):
    """`check` says which certificates can serve nobody."""

    def made(self, **options):
        return made(self.folder, **options)

    def warnings(self, *certificates, more=""):
        edge = self.gateway(self.tls_listener(*certificates, more=more) + TENANT, start=False, app=1)
        done = edge.command("check", "-c", edge.file)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = re.findall(r"gateway\.conf:\d+:\d+: warning: (.*)\n(.*)\n( *)\^", done.stderr)
        # The file that it speaks of is what it points at.
        return [(text, line[len(mark) :].split(";")[0].split()[0]) for text, line, mark in found
                if "max_connections" not in text and "no certificate covers" not in text]  # fmt: skip

    def assert_warned(self, certificate, pattern, *others):
        found = self.warnings(*others, certificate)
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found[0][0], pattern)
        self.assertEqual(found[0][1], certificate[0])

    def test_a_good_one(self):
        self.assertEqual(self.warnings(self.made()), [])
        self.assertEqual(self.warnings(self.made(curve=ec.SECP384R1)), [])

    def test_dates(self):
        self.assert_warned(self.made(begins=-9, ends=-1), "has expired$")
        self.assert_warned(self.made(begins=3.5), "is not valid yet: it begins in 3 days")
        self.assert_warned(self.made(ends=5.5), "expires in 5 days")
        self.assert_warned(self.made(ends=1.5), "expires in 3[56] hours")

    def test_no_subject_alternative_name(self):
        self.assert_warned(self.made(names=()), "has no subject alternative name")
        mail = [x509.RFC822Name("hostmaster@acme.test")]
        self.assert_warned(self.made(names=(), others=mail), "has no host among its subject alternative names")
        address = [x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
        self.assertEqual(self.warnings(self.made(names=(), others=address)), [])
        self.assert_warned(self.made(names=(), others=address), "is never presented: it has no DNS name", self.made())

    def test_a_purpose(self):
        oid = ExtendedKeyUsageOID
        self.assert_warned(self.made(usage=[oid.CLIENT_AUTH]), "is not for servers: its extended key usage lacks serverAuth")
        for usage in ([oid.SERVER_AUTH], [oid.CLIENT_AUTH, oid.SERVER_AUTH], [oid.ANY_EXTENDED_KEY_USAGE]):
            self.assertEqual(self.warnings(self.made(usage=usage)), [])

    def test_a_key_that_browsers_do_not_offer(self):
        edwards = self.made(key=ed25519.Ed25519PrivateKey.generate())
        self.assert_warned(edwards, "has a key that browsers don't offer")
        self.assertEqual(self.warnings(self.made(), edwards), [])

    def test_one_that_others_displace(self):
        old = self.made(begins=-9, ends=-1)
        found = self.warnings(old, self.leaf("acme.test", rsa=True))
        self.assertEqual([one[1] for one in found], [old[0]] * 2, found)
        self.assertRegex(found[0][0], "has expired$")
        self.assertRegex(found[1][0], "is never presented: others of its names are$")

    def test_curves(self):
        for curve, name in ((ec.SECP256K1, "secp256k1"), (ec.BrainpoolP256R1, "brainpoolP256r1"), (ec.SECP224R1, "secp224r1")):
            with self.subTest(name):
                self.assert_warned(self.made(curve=curve), f"has a key of the curve {name}, which clients don't offer")

    def test_a_curve_that_is_spelled_out(self):
        base = os.path.join(self.folder, "explicit")
        for command in (
            f"openssl ecparam -name prime256v1 -param_enc explicit -genkey -noout -out {base}.key",
            f"openssl req -x509 -new -key {base}.key -out {base}.crt -days 90 -subj /CN=acme.test -addext subjectAltName=DNS:acme.test",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        self.assert_warned((base + ".crt", base + ".key"), "spells the curve of its key out instead of naming it")

    def test_one_that_others_stand_before(self):
        first = self.made()
        self.assert_warned(self.made(), "is never presented: others before it have all of its names, and the same type of key", first)
        # Another name of its own, another type of key.
        self.assertEqual(self.warnings(first, self.made(names=("acme.test", "a.acme.test")), self.leaf("acme.test", rsa=True)), [])

    def test_authorities_without_a_root(self):
        root, other = Holder(self.folder, "CN=Root", seconds=9e6), Holder(self.folder, "CN=Other", seconds=9e6)
        middle = root.sub("CN=Middle", seconds=9e6)
        lower = middle.sub("CN=Lower", seconds=9e6)
        for holders, pattern in (
            ((root,), None),
            ((lower, middle, root), None),
            ((middle,), "holds no root, only authorities below one: no client certificate is accepted$"),
            ((lower, middle), "holds no root"),
            ((other, middle), "the authority CN=Middle has no root in .*: only a chain that leads to one there is accepted"),
            ((root, lower), "the authority CN=Lower has no root in"),
            ((Holder(self.folder, "CN=Old", seconds=-60),), "the authority CN=Old has expired"),
            ((Holder(self.folder, "CN=Short", seconds=86400 * 3 + 60),), "the authority CN=Short expires in 3 days"),
        ):
            file = bundle(self.folder, *holders)
            with self.subTest(pattern=pattern, holders=[holder.subject for holder in holders]):
                found = self.warnings(self.made(), more=f"client_ca {file};")
                self.assertEqual(len(found), 1 if pattern else 0, found)
                if pattern:
                    self.assertRegex(found[0][0], pattern)
                    self.assertEqual(found[0][1], file)
