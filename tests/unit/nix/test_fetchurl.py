"""builtin:fetchurl from files and a web server on loopback: contents, unpacking, hashes right and wrong, no secrets."""

from __future__ import annotations

import base64
import io
import lzma
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tvixbuild_nb.build import BuildContext, BuildResult, RunRecord
from tvixbuild_nb.castore import Castore, FileNode, open_castore
from tvixbuild_nb.errors import InvalidDerivation, UnsupportedDerivation
from tvixbuild_nb.nix import Derivation, Fixed, InputAddressed, NixHash, StoreDir, plan_request
from tvixbuild_nb.nix.fetchurl import Fetchurl
from tvixbuild_nb.nix.nar import ingest_nar, nar_of_path, sum_of_node
from tvixbuild_nb.nix.storepath import ContentMethod

CONTENTS = b"what is fetched\n"


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


def fetching(url: str, wanted: NixHash, method: ContentMethod = "flat", **env: str) -> Derivation:
    path = StoreDir().fixed_output_path("fetched", method, wanted)
    return Derivation(
        name="fetched",
        outputs={"out": Fixed(path, wanted, method)},
        system=b"builtin",
        builder=b"builtin:fetchurl",
        env={name.encode(): value.encode() for name, value in {"url": url, **env}.items()},
    )


def fetched(castore: Castore, derivation: Derivation) -> tuple[BuildResult, str]:
    context = BuildContext(RunRecord.create())
    result = Fetchurl(derivation, castore).do_build(plan_request(derivation, {}), context)
    assert context.record.read_result() == result
    return result, context.record.log_path.read_text()


def test_a_file_is_fetched_and_checked(castore: Castore, tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(CONTENTS)
    url = (tmp_path / "a file").as_uri()
    result, log = fetched(castore, fetching(url, NixHash.of("sha256", CONTENTS)))
    assert result.ok and result.service == "builtin:fetchurl" and url in log
    [output] = result.outputs
    assert castore.tree(output.node).read_bytes() == CONTENTS

    wrong = NixHash.of("sha256", b"something else")
    result, log = fetched(castore, fetching(url, wrong))
    assert (result.status, result.failed_at, result.outputs) == ("failed", "output", ())
    assert "hash mismatch in fixed-output derivation '/nix/store/" in log
    # What came instead stays to be looked at.
    [refused] = result.rejected
    assert refused.node == output.node and refused.path != output.path
    assert f"specified: {wrong.sri}" in log and f"got:    {NixHash.of('sha256', CONTENTS).sri}" in log

    result, _ = fetched(castore, fetching((tmp_path / "none").as_uri(), wrong))
    assert (result.failed_at, result.message) == ("build", f"it is not there: {(tmp_path / 'none').as_uri()}")


def test_it_is_unpacked_and_made_executable(castore: Castore, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "file").write_bytes(CONTENTS)
    nar = b"".join(nar_of_path(tmp_path / "tree"))
    (tmp_path / "tree.nar.xz").write_bytes(lzma.compress(nar))
    (tmp_path / "tree.nar").write_bytes(nar)
    for name in ("tree.nar.xz", "tree.nar"):
        url = (tmp_path / name).as_uri()
        result, _ = fetched(castore, fetching(url, NixHash.of("sha256", nar), "nar", unpack="1"))
        assert result.ok, result.message
        assert sum_of_node(castore, result.outputs[0].node).hash == NixHash.of("sha256", nar)
    result, _ = fetched(castore, fetching(url, NixHash.of("sha256", nar), "flat", unpack="1"))
    assert "should be a non-executable regular file since recursive hashing" in (result.message or "")

    (tmp_path / "program").write_bytes(CONTENTS)
    (tmp_path / "program").chmod(0o755)
    wanted = NixHash.of("sha1", b"".join(nar_of_path(tmp_path / "program")))
    result, _ = fetched(castore, fetching((tmp_path / "program").as_uri(), wanted, "nar", executable="1"))
    assert result.ok and isinstance(node := result.outputs[0].node, FileNode) and node.executable
    assert ingest_nar(castore, io.BytesIO(b"".join(nar_of_path(tmp_path / "program")))).node == node


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = f"Basic {base64.b64encode(b'me:s3cr3t/pw').decode()}"
            allowed = self.path == "/open" or self.headers.get("Authorization") == wanted
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(CONTENTS) if allowed else 0))
            self.end_headers()
            if allowed:
                self.wfile.write(CONTENTS)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_web_server_is_asked_and_secrets_stay_so(castore: Castore, server: ThreadingHTTPServer) -> None:
    host = f"127.0.0.1:{server.server_port}"
    right = NixHash.of("sha256", CONTENTS)
    assert fetched(castore, fetching(f"http://{host}/open", right))[0].ok
    result, log = fetched(castore, fetching(f"http://me:s3cr3t%2Fpw@{host}/closed?token=hush", right))
    assert result.ok and f"http://{host}/closed" in log and "s3cr3t" not in log and "hush" not in log
    result, log = fetched(castore, fetching(f"http://me:wrong@{host}/closed?token=hush", right))
    assert "401" in (result.message or "") and result.failed_at == "build"
    assert "wrong" not in log + str(result.message) and "hush" not in log + str(result.message)


def test_what_is_no_download_is_refused(castore: Castore) -> None:
    wanted = NixHash.of("sha256", b"")
    for url, text in (("", "needs the attribute url"), ("ftp://x/y", "ftp: URLs"), ("file://host/x", "file: URLs")):
        with pytest.raises(InvalidDerivation, match=text):
            Fetchurl(fetching(url, wanted), castore)
    path = StoreDir().fixed_output_path("fetched", "flat", wanted)
    open_ended = Derivation(
        name="fetched", outputs={"out": InputAddressed(path)}, system=b"builtin", builder=b"builtin:fetchurl"
    )
    with pytest.raises(UnsupportedDerivation, match="part of Nix"):
        plan_request(open_ended, {})
