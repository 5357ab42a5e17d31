"""A made-up certificate authority and a server's certificate for 127.0.0.1 and localhost, by the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Certificate:
    ca_file: Path
    cert_file: Path
    key_file: Path


def make_certificate(directory, days=30):
    """EC keys: made in milliseconds."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificate(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    _openssl("req", "-x509", *key, "-keyout", directory / "ca.key", "-out", made.ca_file, "-days", days,
             "-subj", "/CN=Stand-in CA", "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", *key, "-keyout", made.key_file, "-out", directory / "server.csr", "-subj", "/CN=localhost")
    extensions = directory / "server.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    _openssl("x509", "-req", "-in", directory / "server.csr", "-CA", made.ca_file, "-CAkey", directory / "ca.key",
             "-CAcreateserial", "-out", made.cert_file, "-days", days, "-extfile", extensions)
    return made


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
