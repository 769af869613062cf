"""An issuer for the demo: publishes a key set and signs RS256 tokens for every caller. Do not use it in production."""

import base64
import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PUBLIC = ("kty", "kid", "alg", "use", "n", "e")
CLAIMS = {"aud": "demo-api", "product": "eloquent", "org_id": "org-1", "user_id": "user-1", "email": "user@example.com",
          "role": "user"}
# DigestInfo of SHA-256 (RFC 8017 §9.2, note 1).
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(text):
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def sign(key, text):
    """RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.1)."""
    modulus = number(key["n"])
    length = (modulus.bit_length() + 7) // 8
    digest = DIGEST_INFO + hashlib.sha256(text).digest()
    padded = b"\x00\x01" + b"\xff" * (length - len(digest) - 3) + b"\x00" + digest
    return pow(int.from_bytes(padded, "big"), number(key["d"]), modulus).to_bytes(length, "big")


def mint(key, issuer, form):
    now = int(time.time())
    claims = {**CLAIMS, "iss": issuer, "iat": now, "exp": now + 3600, "sub": form["client_id"][0]}
    if "scope" in form:
        claims["scope"] = form["scope"][0]
    header = {"alg": "RS256", "typ": "JWT", "kid": key["kid"]}
    text = encode(json.dumps(header).encode()) + "." + encode(json.dumps(claims).encode())
    return text + "." + encode(sign(key, text.encode()))


class Issuer(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/.well-known/jwks.json":
            return self.send_error(404)
        self.answer("application/json", json.dumps({"keys": [{k: v for k, v in KEY.items() if k in PUBLIC}]}))

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("content-length") or 0)).decode())
        if self.path != "/token" or "client_id" not in form:
            return self.send_error(400)
        token = mint(KEY, "http://" + self.headers["host"], form)
        if self.headers.get("accept") == "text/plain":
            return self.answer("text/plain", token)
        self.answer("application/json", json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))

    def answer(self, kind, text):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(text.encode())


with open(sys.argv[2]) as file:
    KEY = next(key for key in json.load(file)["keys"] if key["kty"] == "RSA" and "d" in key)
# All addresses: the container's published port leads here.
ThreadingHTTPServer((sys.argv[3] if len(sys.argv) > 3 else "0.0.0.0", int(sys.argv[1])), Issuer).serve_forever()
