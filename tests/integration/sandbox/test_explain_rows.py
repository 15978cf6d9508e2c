"""run.explain(): what goes wrong inside, broken in exactly that way in real sandboxes; and runs that are well."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.elves import elf_file
from support.users import AsUser
from tvixbuild_nb import Sandbox, SpecOptions
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Explanation

pytestmark = pytest.mark.integration

# The programs of this host, where this host has them; Python is Debian's, which tests/apt.txt asks for.
HOST = tuple(path for path in ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives") if os.path.exists(path))
BASH = ("/bin/bash", "-c")
PYTHON = "/usr/bin/python3"
FEW = SpecOptions.for_host(capabilities=["CAP_KILL"])


def _sandbox(command: object, *, host: bool = False, **fields: Any) -> Sandbox:
    if host:
        fields |= {"available_ro_paths": HOST, "provide_bin_sh": False}
        fields["env"] = {"PATH": "/usr/bin:/bin", **fields.get("env", {})}
        command = [*BASH, command] if isinstance(command, str) else command
    return Sandbox(command, store=open_castore("memory:"), **fields)  # type: ignore[arg-type]


def _explained(sandbox: Sandbox, **how: Any) -> Explanation:
    run = sandbox.run(show=False, check=False, **how)
    try:
        return run.explain()
    finally:
        run.delete()


def _pasted(sandbox: Sandbox, cure: str) -> None:
    exec(cure, {"sb": sandbox})
    run = sandbox.run(show=False, check=False)
    assert run.ok, f"{cure}\n{run}\n{run.explain()}"
    run.delete()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source as an input has it."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("a\n")
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("contents", "mode", "cause"),
    [
        (elf_file(), 0o755, "its ELF interpreter /lib/ld-none.so.1 is not inside"),
        (elf_file(machine=8), 0o755, "is for MIPS"),
        (b"#!/bin/sh\r\necho\r\n", 0o755, "ends in CR LF"),
        (b"#!/usr/bin/env python3\n", 0o755, "/usr/bin/env is not inside"),
        (b"#!/bin/sh\n", 0o644, "is not executable"),
    ],
    ids=["loader", "architecture", "crlf", "env", "no-x"],
)
def test_what_crun_says_of_commands_that_do_not_start(source: Path, contents: bytes, mode: int, cause: str) -> None:
    (source / "hello").write_bytes(contents)
    (source / "hello").chmod(mode)
    (found,) = _explained(_sandbox(["/nix/store/tool/hello"], inputs={"tool": source}, runtime="crun"))
    assert cause in found.cause and found.confidence == "certain", str(found)


@pytest.mark.parametrize(
    ("command", "options", "cause"),
    [
        ("cp -r /nix/store/source s; sed -i s/a/b/ s/a", {"host": True}, "copies made from them keep that"),
        ("cp -r /nix/store/source s; rm -r s", {"host": True}, "copies made from them keep that"),
        ("cp -r /nix/store/source s; echo b >> s/a", {"host": True}, "copies of inputs are as read-only"),
        ("cp -r /nix/store/source s; sed -i s/a/b/ s/a", {}, "copies made from them keep that"),
        ("cp -r /nix/store/source s; echo b >> s/a", {}, "copies made from them keep that"),
    ],
    ids=["sed", "rm", "append", "busybox-sed", "busybox-append"],
)
def test_copies_of_inputs_are_read_only_for_who_may_not_override_it(
    source: Path, command: str, options: dict[str, bool], cause: str
) -> None:
    (found,) = _explained(_sandbox(command, inputs={"source": source}, options=FEW, **options))
    assert cause in found.cause and found.confidence == "likely" and found.lines, str(found)
    if "host" in options:
        assert found.cure.startswith("cp --no-preserve=mode")
        mended = _sandbox(command.replace("cp ", "cp --no-preserve=mode "), inputs={"source": source}, options=FEW,
                          **options)  # fmt: skip
        _pasted(mended, "")


def test_owners_that_are_nobody_inside(source: Path) -> None:
    check = f"{PYTHON} -c 'import os, sys; u = os.stat(sys.argv[1]).st_uid; u == os.getuid() or sys.exit(" + (
        'sys.argv[1] + f": is owned by uid {u}, should be {os.getuid()}")\' '
    )
    (found,) = _explained(_sandbox(f"{check} /nix/store/source", inputs={"source": source}, host=True))
    assert "inputs belong to nobody (65534)" in found.cause and found.confidence == "likely", str(found)
    assert any("user ids inside" in one.text for one in found.evidence)
    copied = f"cp -r --no-preserve=mode,ownership /nix/store/source /build; {check} /build/source"
    assert "cp -r --no-preserve=mode,ownership" in found.cure
    _pasted(_sandbox(copied, inputs={"source": source}, host=True), "")


@pytest.mark.parametrize(
    ("command", "fields", "cause", "told"),
    [
        ("wget -q http://192.0.2.1/", {}, "the sandbox has no network", "Network is unreachable"),
        ("nc -w 1 127.0.0.1 9 </dev/null || { echo 'connect to 127.0.0.1: Connection refused'; exit 1; }", {},
         "a loopback of its own", "refused"),
        ("chmod +x /nix/store/source/a && /nix/store/source/a", {"inputs": 1}, "is not below a scratch path",
         "writable are"),
        ("cat /nix/store/sorce/a", {"inputs": 1}, "already /nix/store/sorce is not", "/nix/store/source is there"),
        ("cd src-1.0 2>/dev/null || mkdir src-1.0.1; cd /build/src-1.0", {}, "/build/src-1.0 is not inside",
         "/build/src-1.0.1 is there"),
        ("printf '#!/bin/sh\\n' > /dev/shm/x; chmod +x /dev/shm/x; exec /dev/shm/x", {},
         "nothing on /dev/shm can be executed", "mounted noexec"),
        ("mkfifo /nix/store/out", {"outputs": ["nix/store/out"]}, "a FIFO, a socket or a device", "FIFO"),
        ("echo : > f; ./f", {}, "./f is not executable", "in the scratch directory"),
        ("rmdir /build", {}, "it can be emptied, not removed", "writable are"),
        ("exec 3<>/dev/tty", {}, "no terminal in a build", "/dev/tty"),
    ],
    ids=["unreachable", "loopback", "chmod", "near-input", "near-scratch", "noexec", "fifo", "mode", "mounted", "tty"],
)  # fmt: skip
def test_what_the_sandbox_does_not_give(
    source: Path, command: str, fields: dict[str, Any], cause: str, told: str
) -> None:
    if "inputs" in fields:
        fields = {"inputs": {"source": source}}
    found = _explained(_sandbox(command, **fields))
    first = found.findings[0]
    assert cause in first.cause and len(found) == 1, str(found)
    assert any(told in one.text for one in first.evidence) and first.confidence in ("certain", "likely"), str(found)


def test_an_input_that_this_host_has_and_the_request_has_not(passable_tmp: Path) -> None:
    store = passable_tmp / "store"
    (store / "tool").mkdir(parents=True)
    (store / "tool" / "hello").write_text("#!/bin/sh\necho hello\n")
    (store / "tool" / "hello").chmod(0o755)
    sandbox = _sandbox([f"{store}/tool/hello"], inputs_dir=str(store).lstrip("/"))
    (found,) = _explained(sandbox)
    assert "is not inside" in found.cause and found.confidence == "certain" and "this host has it" in found.cure
    _pasted(sandbox, found.cure)


DANGLING = """
import json, os, sys
from tvixbuild_nb import Sandbox, open_castore
sandbox = Sandbox("wget -q http://example.org.invalid/", store=open_castore("memory:"), network_access=True)
print(json.dumps([*map(str, [run := sandbox.run(show=False, check=False)]), run.explain().to_dict()]))
"""
NO_RESOLVER = """
etc=$(mktemp -d); cp -a /etc/. "$etc"; rm -f "$etc/resolv.conf"; LINK
mount --bind "$etc" /etc; exec "$@"
"""


@pytest.mark.parametrize(
    ("link", "told"),
    [('ln -s ../run/none/resolv.conf "$etc/resolv.conf"', "resolv.conf"),
     ('echo "# nothing" > "$etc/resolv.conf"', "names no nameserver")],
    ids=["dangling", "empty"],
)  # fmt: skip
def test_names_that_are_not_resolved_for_the_hosts_own_reasons(
    root: None, passable_tmp: Path, link: str, told: str
) -> None:
    script = NO_RESOLVER.replace("LINK", link).replace("mktemp -d", f"mktemp -d -p {passable_tmp}")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", sys.executable, "-c", DANGLING],
        capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(passable_tmp)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    text, found = json.loads(done.stdout.splitlines()[-1])
    first = found["findings"][0]
    assert told in json.dumps(first) and first["confidence"] in ("certain", "likely"), f"{text}\n{found}"
    assert "resolv.conf" in first["cure"] and "no network" not in first["cause"], found


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _https(place: Path) -> Iterator[int]:
    """A server on the loopback whose certificate an authority of its own signed, ``place``/ca.pem."""
    openssl: list[list[str]] = [
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=authority",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "request.pem"],
        ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
         "-copy_extensions", "copy", "-out", "cert.pem"],
    ]  # fmt: skip
    for command in openssl:
        subprocess.run(["openssl", *command], cwd=place, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_certificates_of_which_the_authority_is_not_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: package openssl")
    with _https(tmp_path) as port:
        code = f"import urllib.request; urllib.request.urlopen('https://127.0.0.1:{port}/')"
        sandbox = _sandbox([PYTHON, "-c", code], host=True, network_access=True)
        (found,) = _explained(sandbox)
        assert "certificate authorities is not in the sandbox" in found.cause and found.confidence == "likely"
        assert any("unable to get local issuer certificate" in one.text for one in found.evidence), str(found)
        # This host's authorities are those that its own programs are pointed to.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        (found,) = _explained(_sandbox([PYTHON, "-c", code], host=True, network_access=True))
        _pasted(sandbox, found.cure)


def test_a_child_that_kills_itself_where_nobody_counts(as_user: AsUser) -> None:
    code = """
import json
from tvixbuild_nb import Sandbox, open_castore
found = []
for command in ("sh -c 'kill -9 $$' 2>/dev/null; exit 137", "exit 137"):
    run = Sandbox(command, store=open_castore("memory:")).run(show=False, check=False, keep="never")
    found.append([run.usage.oom_kills, run.explain().to_dict()])
print(json.dumps(found))
"""
    done = as_user(code, check=True)
    for counted, found in json.loads(done.stdout):
        causes = [(one["confidence"], one["cause"]) for one in found["findings"]]
        assert "SIGKILL" in str(causes) or "killed" in str(causes), causes
        if counted is None:
            assert all(sure != "certain" for sure, _ in causes), causes
        else:
            assert "lack of memory" not in str(causes), causes


# A runtime that gives the build a view of its inputs that FUSE mounted for root alone.
CLOSES = """#!{python}
import json, os, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
arguments = sys.argv[1:]
if "run" in arguments or "create" in arguments:
    place = arguments[arguments.index("--bundle") + 1] if "--bundle" in arguments else os.getcwd()
    subprocess.Popen([{python!r}, "-c", {serve!r}, here], start_new_session=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=open(here + "/errors", "w"))
    for _ in range(200):
        if os.path.ismount(here + "/view/closed"):
            break
        time.sleep(0.05)
    with open(place + "/config.json") as file:
        config = json.load(file)
    for mount in config["mounts"]:
        if mount["destination"] == "/nix/store/source":
            mount["source"] = here + "/{shown}"
    with open(place + "/config.json", "w") as file:
        json.dump(config, file)
os.execvp("{runtime}", ["{runtime}", *arguments])
"""
SERVE = """
import sys
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.fs.mounting import mount
castore = open_castore(sys.argv[1] + "/store")
mount(castore, castore.ingest(sys.argv[1] + "/source"), sys.argv[1] + "/view/closed")
"""


def _closed(place: Path, runtime: str, shown: str, command: str) -> Explanation:
    for name in ("view/closed", "source"):
        (place / name).mkdir(parents=True)
    (place / "source" / "a").write_text("a")
    program = place / runtime
    program.write_text(CLOSES.format(python=sys.executable, serve=SERVE, runtime=runtime, shown=shown))
    program.chmod(0o755)
    sandbox = _sandbox(command, inputs={"source": place / "source"}, runtime=str(program))
    try:
        return _explained(sandbox)
    finally:
        for pid in _served(place):
            with suppress(ProcessLookupError):  # it ends with its mount
                os.kill(pid, signal.SIGTERM)


def _served(place: Path) -> list[int]:
    """The processes that serve the view, as this namespace counts them: the runtime that started them has its own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[1:4] == [b"-c", SERVE.encode(), os.fsencode(place)]:
                found.append(int(process.name))
    return found


def test_a_view_that_is_closed_to_the_builds_user(root: None, passable_tmp: Path) -> None:
    found = _closed(passable_tmp, "runc", "view", "ls /nix/store/source/closed")
    assert len(found) == 1, f"{found}\n{(passable_tmp / 'errors').read_text()}"
    (first,) = found
    assert "FUSE mounted without allow_other" in first.cause and first.confidence == "likely", str(found)
    assert [one.kind for one in first.evidence] == ["log", "mount"] and 'inputs="checkout"' in first.cure
    mended = _sandbox("ls /nix/store/source", inputs={"source": passable_tmp / "source"})
    scope: dict[str, Any] = {"sb": mended}
    exec(first.cure, scope)
    assert scope["run"].ok
    scope["run"].delete()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_view_that_is_closed_to_the_containers_root(root: None, passable_tmp: Path, runtime: str) -> None:
    found = _closed(passable_tmp, runtime, "view/closed", "ls /nix/store/source")
    assert len(found) == 1 and "is closed to" in found.findings[0].cause, (
        f"{found}\n{(passable_tmp / 'errors').read_text()}"
    )


HEALTHY = {
    "warnings": "echo 'warning: error: failed to find foo, Permission denied'; nonesuch || true; cat /none || :",
    "grep": "grep nothing /nix/store/source/a || true; [ -e /none ] || echo 'No such file or directory'",
    "configure": "echo 'checking for gcc... no'; echo 'configure: error: handled'; (exit 127) || true",
    "network": "wget -q http://example.org/ || echo 'Could not resolve host: going on without'",
    "home": "HOME=/homeless-shelter; mkdir $HOME || export HOME=/build; touch $HOME/x",
    "read-only": "touch /etc/x || touch /build/x; echo >> /nix/store/source/a || cp /nix/store/source/a .",
    "owners": "ls -ln /nix/store/source; chown 4242 . || echo kept",
    "signals": "sh -c 'kill -9 $$' || true; sh -c 'kill -SEGV $$'; sleep 9 & kill $!; wait $! || :",
    "files": "sh -c 'i=3; while [ $i -lt 1500 ]; do eval \"exec $i</dev/null\" || exit 5; i=$((i+1)); done' || true",
    "full": "dd if=/dev/zero of=/dev/shm/x bs=1M count=66 || rm /dev/shm/x",
    "binary": "head -c 4096 /dev/urandom; printf '\\033[31mError\\033[0m\\r\\n'; yes | head -n 3",
    "silent": ":",
    "ignored": "sh -c 'exit 126' || sh -c 'exit 137' || true; ./none || true",
    "dates": "date; hostname; id; echo 65534 nobody nogroup; mount | head -n 3; cat /etc/shadow || true",
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_run_that_is_well_has_no_finding_whatever_its_log_looks_like(source: Path, name: str) -> None:
    run = _sandbox(HEALTHY[name], inputs={"source": source}).run(show=False)
    found = run.explain()
    assert run.ok and not found and not found.wrong and str(found) == "nothing is wrong", str(found)
    run.delete()


UNKNOWN = {
    "test": "echo 'nonesuch: not found, using the other'; nonesuch || :; for i in 1 2 3 4 5; do echo test $i ok; done; "
    "echo 'test 6: expected 3, got 4'; exit 1",
    "home": "export HOME=/homeless-shelter; export -p; exit 3",
    "owners": "echo 65534 passed; exit 2",
    "empty": "exit 9",
    "diff": "echo a > a; echo b > b; cmp a b",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_failed_of_itself_has_no_cause_that_is_told_as_sure(name: str) -> None:
    found = _explained(_sandbox(f"{{ {UNKNOWN[name]}; }} 2>&1"))
    assert found.wrong and found.first is None and "is known" in str(found), str(found)
    assert name == "test" or not found, str(found)
