"""Signed tokens, good and bad, and the key sets that go with them."""

import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"ES256": (ec.SECP256R1, "P-256", 32), "ES384": (ec.SECP384R1, "P-384", 48), "ES512": (ec.SECP521R1, "P-521", 66)}


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A private key for one algorithm, with the JWK of its public half."""

    def __init__(self, algorithm, kid=None, bits=2048):
        self.algorithm, self.kid = algorithm, kid
        if algorithm[:2] in ("RS", "PS"):
            self.private = rsa.generate_private_key(65537, bits)
        elif algorithm[:2] == "ES":
            self.private = ec.generate_private_key(CURVES[algorithm][0]())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self, **more):
        jwk = {"alg": self.algorithm, "use": "sig"}
        if self.kid is not None:
            jwk["kid"] = self.kid
        public = self.private.public_key()
        if self.algorithm[:2] in ("RS", "PS"):
            numbers = public.public_numbers()
            jwk.update(kty="RSA", n=number(numbers.n), e=number(numbers.e))
        elif self.algorithm[:2] == "ES":
            numbers = public.public_numbers()
            _, name, size = CURVES[self.algorithm]
            jwk.update(kty="EC", crv=name, x=number(numbers.x, size), y=number(numbers.y, size))
        else:
            jwk.update(kty="OKP", crv="Ed25519", x=b64(public.public_bytes_raw() if hasattr(public, "public_bytes_raw") else raw(public)))
        jwk.update(more)
        return {name: value for name, value in jwk.items() if value is not None}

    def sign(self, data, algorithm=None):
        algorithm = algorithm or self.algorithm
        if algorithm == "EdDSA":
            return self.private.sign(data)
        digest = HASHES[algorithm[2:]]()
        if algorithm[:2] == "RS":
            return self.private.sign(data, padding.PKCS1v15(), digest)
        if algorithm[:2] == "PS":
            return self.private.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
        size = CURVES[algorithm][2]
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def raw(public):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


class Secret:
    """A shared secret for HMAC."""

    def __init__(self, secret, algorithm="HS256"):
        self.secret, self.algorithm, self.kid = secret, algorithm, None

    def sign(self, data, algorithm=None):
        return hmac.new(self.secret, data, getattr(hashlib, "sha" + (algorithm or self.algorithm)[2:])).digest()


def jwks(*keys):
    return json.dumps({"keys": [key.jwk() if isinstance(key, Key) else key for key in keys]})


def claims(tenant="acme", **more):
    """Those of a good token; None leaves one out."""
    now = int(time.time())
    made = {"iss": "https://id.test", "aud": "api.test", "sub": "user-1", "exp": now + 600, "iat": now, "tenant": tenant}
    made.update(more)
    return {name: value for name, value in made.items() if value is not None}


def token(key, payload=None, header=None, **more):
    """A compact token of these claims (or of bytes), `header` on top of the usual one."""
    head = {"alg": key.algorithm, "typ": "JWT"}
    if key.kid is not None:
        head["kid"] = key.kid
    head.update(header or {})
    head = {name: value for name, value in head.items() if value is not None}
    payload = claims(**more) if payload is None else payload
    body = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
    signed = b64(json.dumps(head)) + "." + b64(body)
    return signed + "." + b64(key.sign(signed.encode()))
