"""Cures as code to paste, where ``sb`` is the sandbox and ``run`` its run; written for the request that failed."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import sys

from tvixbuild_nb.request import BuildRequest

_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def literal(text: str) -> str:
    """``text`` as Python has it between double quotes."""
    return json.dumps(text)


def scratch(request: BuildRequest) -> str:
    """A scratch path of the request to write below, without its leading slash."""
    paths = request.scratch_paths
    return "build" if "build" in paths else (paths[0] if paths else "tmp")


def host_program(request: BuildRequest, program: str) -> str:
    """What gives the build a program of this host; where it has none, that is said."""
    code = f"sb.add_host_program({literal(program)})"
    if shutil.which(program) is None:
        return f"# this host has no {program} either: install it, then\n{code}"
    if request.inputs_dir == "":
        return code
    if not request.inputs:
        return f'sb.inputs_dir = ""  # what the host has must stand where the host has it\n{code}'
    return (
        f'{code}  # needs inputs_dir="", which moves the other inputs; or sb.add_input("tools", ...) with what has it'
    )


def certificates(request: BuildRequest) -> str:
    """What gives the build this host's certificate authorities."""
    paths = ssl.get_default_verify_paths()
    file = next((path for path in (paths.cafile, *_AUTHORITIES) if path is not None and os.path.isfile(path)), None)
    inside = f"/{request.inputs_dir}/ca.crt".replace("//", "/")
    code = f'sb.add_input("ca.crt", {literal(file or "...")})\nsb.env["SSL_CERT_FILE"] = {literal(inside)}'
    return f'{code}\nsb.env["CURL_CA_BUNDLE"] = sb.env["GIT_SSL_CAINFO"] = sb.env["SSL_CERT_FILE"]'


def missing_path(request: BuildRequest, path: str) -> str:
    """What brings the absolute ``path`` inside: as an input where inputs stand, else as the host's program."""
    above = f"/{request.inputs_dir}/"
    if not request.inputs_dir or not path.startswith(above):
        return host_program(request, path)
    name, _, rest = path.removeprefix(above).partition("/")
    if name in request.inputs:
        return f"# the input has no {rest}: put it there, then\nsb.add_input({literal(name)}, ...)"
    whole = f"{above}{name}"
    if os.path.lexists(path):
        return f"sb.add_input({literal(name)}, {literal(whole)})  # this host has it"
    return f"sb.add_input({literal(name)}, ...)  # a path that has {rest or 'it'}"


def limit(name: str, value: int) -> str:
    """What sets one limit of the sandbox, and leaves its other ones and its other options as they are."""
    return (
        "from tvixbuild_nb import SpecOptions\noptions = sb.options or SpecOptions.for_host()\n"
        f'sb.options = options.replace(limits={{**dict(options.limits or {{}}), "{name}": {value}}})'
    )


def options(change: str) -> str:
    """What changes one of the options the sandbox is rendered with, and no other."""
    return (
        f"from tvixbuild_nb import SpecOptions\nsb.options = (sb.options or SpecOptions.for_host()).replace({change})"
    )


def more_files(now: int) -> str:
    """What allows more open files than ``now``, as far as this process may."""
    most = 65536
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    code = options(f'rlimits={{"NOFILE": {max(most, now + 1)}}}')
    return code if most > now else f"# in the shell that starts this: ulimit -Hn 65536; then\n{code}"


def search_path(request: BuildRequest, variable: str, directory: str) -> str:
    """What puts a directory before the others of a variable such as PATH."""
    before = request.environment_vars.get(variable, b"").decode("utf-8", "replace")
    return f"sb.env[{literal(variable)}] = {literal(f'{directory}:{before}' if before else directory)}"
