"""A certificate authority of the run's own, made by the openssl command into a temporary folder."""

import os
import ssl
import subprocess


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30, **options)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.certificate = os.path.join(folder, "ca.crt")
        self.key = os.path.join(folder, "ca.key")
        openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=Integration Test CA",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            self.key,
            "-out",
            self.certificate,
        )
        self._leaves = {}

    def leaf(self, *names, tag="", rsa=False):
        """(certificate, key) paths for these DNS names; made once for each set and tag. The first is the CN."""
        wanted = (names, tag, rsa)
        if wanted not in self._leaves:
            # Numbered: another set of names may begin with the same one.
            base = os.path.join(self.folder, f"{len(self._leaves)}-{tag}{names[0]}".replace("*", "_"))
            kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            openssl(
                "req",
                "-newkey",
                *kind,
                "-nodes",
                "-subj",
                f"/CN={names[0]}/O={tag or 'test'}",
                "-keyout",
                base + ".key",
                "-out",
                base + ".csr",
            )
            with open(base + ".ext", "w") as out:
                out.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
            openssl(
                "x509",
                "-req",
                "-in",
                base + ".csr",
                "-CA",
                self.certificate,
                "-CAkey",
                self.key,
                "-CAcreateserial",
                "-days",
                "30",
                "-extfile",
                base + ".ext",
                "-out",
                base + ".crt",
            )
            self._leaves[wanted] = (base + ".crt", base + ".key")
        return self._leaves[wanted]

    def context(self, minimum=None, maximum=None, alpn=("http/1.1",), verify=True):
        """A client's context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.certificate)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context
