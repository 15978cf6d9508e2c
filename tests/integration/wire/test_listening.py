"""Where a server listens, who may call it, and what it leaves."""

from __future__ import annotations

import datetime
import ipaddress
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.cli import start_command
from support.served import served
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import RemoteStoreError

pytestmark = pytest.mark.integration


class Authority:
    """An authority and what it signs, as files in ``directory``."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(self._name, self._key, ca=True)
        self.path = self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        return self._write(f"{name}.pem", public), self._write(f"{name}.key", private)

    def _write(self, name: str, data: bytes) -> Path:
        path = self._directory / name
        path.write_bytes(data)
        return path


def test_tls_with_certificates_of_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    cert, key = ours.issue("server")
    options = ["--builder", "none", "--tls-cert", str(cert), "--tls-key", str(key), "--client-ca", str(ours.path)]
    with served(tmp_path / "server", *options, listen="0.0.0.0:0") as server:
        address = server.address.replace("0.0.0.0", "localhost")
        assert address.startswith("grpc+https://")
        monkeypatch.setenv("TVIXBUILD_NB_TLS_CA", str(ours.path))
        for issued in (None, others.issue("stranger")):
            if issued is not None:
                monkeypatch.setenv("TVIXBUILD_NB_TLS_CERT", str(issued[0]))
                monkeypatch.setenv("TVIXBUILD_NB_TLS_KEY", str(issued[1]))
            with open_castore(address) as castore, pytest.raises(RemoteStoreError) as refused:
                castore.ingest_bytes(b"x")
            assert "TVIXBUILD_NB_TLS_CERT" in str(refused.value), refused.value
        cert, key = ours.issue("friend")
        monkeypatch.setenv("TVIXBUILD_NB_TLS_CERT", str(cert))
        monkeypatch.setenv("TVIXBUILD_NB_TLS_KEY", str(key))
        with open_castore(address) as castore:
            assert castore.tree(castore.ingest_bytes(b"x")).read_bytes() == b"x"
        # Whom the client does not know either.
        monkeypatch.setenv("TVIXBUILD_NB_TLS_CA", str(others.path))
        with open_castore(address) as castore, pytest.raises(RemoteStoreError) as refused:
            castore.ingest_bytes(b"x")
        assert "TVIXBUILD_NB_TLS_CA" in str(refused.value)
        with open_castore(address.replace("https", "http")) as castore, pytest.raises(RemoteStoreError) as refused:
            castore.ingest_bytes(b"x")
        assert "grpc+https://" in str(refused.value)


def test_elsewhere_than_here_it_takes_certificates(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path, "ours").issue("server")
    for options in ([], ["--tls-cert", str(cert), "--tls-key", str(key)]):
        command = ["serve", "--listen", "0.0.0.0:0", "--store", str(tmp_path / "s"), "--builder", "none", *options]
        with start_command(*command) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and out == b"" and b"--insecure" in err
    with served(tmp_path / "server", "--builder", "none", "--insecure", listen="0.0.0.0:0") as server:
        port = server.address.rpartition(":")[2]
        with open_castore(f"grpc+http://127.0.0.1:{port}") as castore:
            castore.ingest_bytes(b"x")
        with open_castore(f"grpc+https://127.0.0.1:{port}") as castore, pytest.raises(RemoteStoreError) as refused:
            castore.ingest_bytes(b"x")
        assert "speaks without TLS" in str(refused.value)


def test_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for _ in range(2):
        with served(tmp_path / "server", "--builder", "none", listen=f"unix:{path}") as server:
            assert server.address == f"grpc+unix:{path}"
            assert path.stat().st_mode & 0o077 == 0, "it is the user's own"
            with open_castore(server.address) as castore:
                assert castore.tree(castore.ingest_bytes(b"x")).read_bytes() == b"x"
            second = ["serve", "--listen", f"unix:{path}", "--store", str(tmp_path / "other"), "--builder", "none"]
            with start_command(*second) as process:
                assert b"another server" in process.communicate(timeout=60)[1] and process.returncode == 1
            server.kill()
        assert path.exists(), "nobody tidied up: the next one does"
    with served(tmp_path / "server", "--builder", "none", listen=f"unix:{path}") as server:
        assert server.stop() == 0
    assert not path.exists()
    with start_command("serve", "--listen", f"unix:{path}/deeper/s", "--store", tmp_path / "o") as process:
        assert b"no such directory" in process.communicate(timeout=60)[1] and process.returncode == 1
    path.write_text("no socket")
    with start_command("serve", "--listen", f"unix:{path}", "--store", tmp_path / "o", "--builder", "none") as process:
        assert b"no socket" in process.communicate(timeout=60)[1] and process.returncode == 1
    assert path.read_text() == "no socket"


@pytest.mark.parametrize(("path", "said"), [("etc", b"no absolute path"), ("/none/such", b"no such path")])
def test_paths_for_builds_are_there(path: str, said: bytes, tmp_path: Path) -> None:
    command = ["serve", "--listen", "127.0.0.1:0", "--store", tmp_path / "s", "--allow-ro-path", path]
    with start_command(*command) as process:
        assert said in process.communicate(timeout=60)[1] and process.returncode == 2


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = ["serve", "--listen", f"127.0.0.1:{port}", "--store", tmp_path / "s", "--builder", "none"]
        with start_command(*command) as process:
            err = process.communicate(timeout=60)[1]
        assert process.returncode == 1 and b"cannot listen" in err and b"Traceback" not in err


def test_a_builder_elsewhere_is_not_offered(tmp_path: Path) -> None:
    path = tmp_path / "s"
    command = ["serve", "--listen", f"unix:{path}", "--store", tmp_path / "o", "--builder", f"grpc+unix:{path}"]
    with start_command(*command) as process:
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and b"its own store" in err and b"Traceback" not in err
    # Who has set for clients where they build, here, can start what they build with all the same.
    with served(
        tmp_path / "server", listen=f"unix:{path}", env={"TVIXBUILD_NB_BUILDER": f"grpc+unix:{path}"}
    ) as server:
        assert server.line.startswith("serving contents and builds by oci:")
