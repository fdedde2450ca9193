"""nginx with the configuration that is shipped in deploy/."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import subprocess
from pathlib import Path

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.site import ROOT, free_port
from tests.waiting import wait_until


def is_installed() -> bool:
    return shutil.which("nginx") is not None


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
    signed = builder.not_valid_after(now + dt.timedelta(days=1)).add_extension(alternative, critical=False)
    pem = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "fullchain.pem").write_bytes(pem)
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class Nginx:
    """nginx from deploy/nginx.conf; with the addresses and paths of this machine."""

    def __init__(self, folder: Path, backends: list[int], **changes: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        certificate(folder)
        servers = "\n".join(f"        server 127.0.0.1:{port} max_fails=2 fail_timeout=5s;" for port in backends)
        conf = (ROOT / "deploy" / "nginx.conf").read_text()
        places = {
            "include mime.types;": "include /etc/nginx/mime.types;",
            "pid /tmp/nginx.pid;": f"pid {folder}/nginx.pid;",
            "        server web:8000 max_fails=2 fail_timeout=5s;": servers,
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
            "/etc/nginx/tls": str(folder),
            **changes,
        }
        for old, new in places.items():
            assert old in conf, f"deploy/nginx.conf no longer has {old!r}"
            conf = conf.replace(old, new)
        (folder / "nginx.conf").write_text(conf)
        self.process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log", "-g", "daemon off;"]
        )
        wait_until(self._is_up, message=lambda: (folder / "error.log").read_text())

    def _is_up(self) -> bool:
        try:
            httpx2.get(f"{self.url}/healthz", verify=False)
        except httpx2.TransportError:
            return False
        return True

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
