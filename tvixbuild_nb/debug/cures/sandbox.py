"""Cures as Python to paste, where ``sb`` is the sandbox and ``run`` its run; written for the request that failed."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import ssl
import sys
from dataclasses import dataclass

from tvixbuild_nb.request import BuildRequest

_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def literal(text: str) -> str:
    """``text`` as Python, and Nix where it has no ``${``, have it between double quotes."""
    return json.dumps(text)


def scratch(request: BuildRequest) -> str:
    """A scratch path of the request to write below, without its leading slash."""
    paths = request.scratch_paths
    return "build" if "build" in paths else (paths[0] if paths else "tmp")


def most_files() -> int:
    """How many open files a sandbox can be allowed, as far as this process may."""
    if sys.platform == "win32":
        return 65536
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)


@dataclass(frozen=True, slots=True)
class SandboxCures:
    """See :class:`~tvixbuild_nb.debug.cures.protocol.Cures`."""

    request: BuildRequest

    def known(self, cure: str, elsewhere: str) -> str:
        return cure

    def variable(self, name: str, value: str) -> str:
        return f"sb.env[{literal(name)}] = {literal(value)}"

    def stands_for(self, name: str, path: str) -> str:
        return f"{self.variable(name, path)}  # or write {path} in the command"

    def search_path(self, variable: str, directory: str) -> str:
        before = self.request.environment_vars.get(variable, b"").decode("utf-8", "replace")
        return self.variable(variable, f"{directory}:{before}" if before else directory)

    def program(self, name: str) -> str:
        code = f"sb.add_host_program({literal(name)})"
        if shutil.which(name) is None:
            return f"# this host has no {name} either: install it, then\n{code}"
        if self.request.inputs_dir == "":
            return code
        if not self.request.inputs:
            return f'sb.inputs_dir = ""  # what the host has must stand where the host has it\n{code}'
        return (
            f'{code}  # needs inputs_dir="", which moves the other inputs; or sb.add_input("tools", ...) '
            "with what has it"
        )

    def path(self, path: str) -> str:
        above = f"/{self.request.inputs_dir}/"
        if not self.request.inputs_dir or not path.startswith(above):
            return self.program(path)
        name, _, rest = path.removeprefix(above).partition("/")
        return self._input(name, rest, f"{above}{name}", os.path.lexists(path))

    def _input(self, name: str, rest: str, whole: str, here: bool) -> str:
        if name in self.request.inputs:
            return f"# the input has no {rest}: put it there, then\nsb.add_input({literal(name)}, ...)"
        if here:
            return f"sb.add_input({literal(name)}, {literal(whole)})  # this host has it"
        return f"sb.add_input({literal(name)}, ...)  # a path that has {rest or 'it'}"

    def package(self, file: str, variable: str) -> str:
        return f'sb.add_input("...", ...)  # what has {file}; then sb.env["{variable}"]'

    def with_libraries(self, program: str, name: str) -> str:
        return f"{self.program(posixpath.basename(program))}\n# the host's, with its loader and libraries"

    def beside(self, program: str, owner: str, name: str, missing: tuple[str, ...]) -> str:
        said = f"# the input {owner} has {posixpath.basename(program)} without {name}, which another input must hold:"
        above = f"/{self.request.inputs_dir}/".replace("//", "/")
        wanted = next((place for place in missing if place.startswith(above)), None)
        if "/" not in name:
            if self.request.inputs_dir and wanted is not None:
                store_name = wanted.removeprefix(above).partition("/")[0]
                if store_name not in self.request.inputs:
                    return f"{said}\n{self.path(wanted)}"
            return f"{said}\n{self.package(name, 'LD_LIBRARY_PATH')}"
        if name.startswith(above):
            first, _, rest = name.removeprefix(above).partition("/")
            here = bool(self.request.inputs_dir) and os.path.lexists(name)
            return f"{said}\n{self._input(first, rest, f'{above}{first}', here)}"
        return (
            f"# the input {owner} has {posixpath.basename(program)} for systems with {name}, where no input can stand:"
            f" inputs are in /{self.request.inputs_dir}\n# take one that is static, or whose loader is an input:"
            f" patchelf --set-interpreter {above}NAME/lib/{posixpath.basename(name)}\n"
            f'sb.add_input("...", ...)  # what has {posixpath.basename(name)} and the libraries'
        )

    def toolchain(self) -> str:
        if self.request.inputs_dir:
            return 'sb.add_input("...", ...)  # a whole toolchain, such as an input of Nix'
        return (
            "from pathlib import Path\nfrom tvixbuild_nb.cli.compiler import find_compiler\n"
            'gcc = find_compiler(Path("main.c"), static=False)'
            "  # a source of yours: it asks gcc what it takes for that\n"
            'sb.add_host_program(gcc.program, gcc.data)\nsb.env["PATH"] = gcc.path'
        )

    def shebang(self, interpreter: str, called: str, instead: str, owner: str | None) -> str:
        return f"# in the script: #!{instead}\n# or:\n{self.program(interpreter)}"

    def executable(self, path: str, name: str | None, place: str) -> str:
        return f'# chmod +x {place}, then\nsb.add_input({literal(name or "NAME")}, "PATH")'

    def command(self, program: str, instead: str | None = None) -> str:
        if instead is None:
            return f"sb.command = ({literal(program)},)  # a program, not its directory"
        return f"sb.command = ({literal(program)}, *sb.command[1:])  # or wherever {instead} is named"

    def by_shell(self, script: str, note: str) -> str:
        return f'sb.command = ("/bin/sh", {literal(script)})  # {note}'

    def shell(self) -> str:
        return "sb.provide_bin_sh = True"

    def written(self, near: str, wanted: str) -> str:
        path = near.lstrip("/")
        outputs = ", ".join(literal(path if output == wanted else output) for output in self.request.outputs)
        return f"sb.outputs = ({outputs},)  # or in the command: mv /{path} /{wanted}"

    def unwritten(self, wanted: str) -> str:
        return f"# in the command: mkdir -p or ... > /{wanted}"

    def line_ends(self, files: tuple[str, ...]) -> str:
        lines = []
        if any("\r" in word for word in self.request.command_args):
            lines.append(r'sb.command = tuple(word.replace("\r", "") for word in sb.command)')
        added = [path for path in files if path.lstrip("/") in self.request.additional_files]
        for name in (literal(path.lstrip("/")) for path in added):
            lines.append(rf'sb.additional_files[{name}] = sb.request.additional_files[{name}].replace(b"\r\n", b"\n")')
        lines += [rf"# sed -i 's/\r$//' on the host's {path}, then add the input again"
                  for path in files if path not in added]  # fmt: skip
        return "\n".join(lines)

    def writable(self, directory: str | None) -> str:
        below = f"/{scratch(self.request)}"
        if directory is None:
            return f"# in the command: write below {below}, where sb.working_dir should be, too"
        return f"sb.scratch_paths = (*sb.scratch_paths, {literal(directory)})  # or write below {below}"

    def given(self, path: str, *, here: bool) -> str:
        if here:
            return (
                f"sb.available_ro_paths = (*sb.available_ro_paths, {literal(path)})  # this host has it; or as an input"
            )
        added = f'sb.additional_files = {{**sb.additional_files, {literal(path.lstrip("/"))}: "..."}}'
        return f"# in the command: write below /{scratch(self.request)}; or, to have it there:\n{added}"

    def disk(self) -> str:
        return 'sb = Sandbox(..., builder="oci:/path/on/a/bigger/disk")  # or free space below the bundle root'

    def certificates(self) -> str:
        paths = ssl.get_default_verify_paths()
        file = next((path for path in (paths.cafile, *_AUTHORITIES) if path is not None and os.path.isfile(path)), None)
        inside = f"/{self.request.inputs_dir}/ca.crt".replace("//", "/")
        code = f'sb.add_input("ca.crt", {literal(file or "...")})\n{self.variable("SSL_CERT_FILE", inside)}'
        return f'{code}\nsb.env["CURL_CA_BUNDLE"] = sb.env["GIT_SSL_CAINFO"] = sb.env["SSL_CERT_FILE"]'

    def network(self, otherwise: str) -> str:
        return f"sb.network_access = True  # or {otherwise}"

    def limit(self, name: str, value: int, note: str) -> str:
        # Its other limits stay, and its other options.
        return (
            "from tvixbuild_nb import SpecOptions\noptions = sb.options or SpecOptions.for_host()\n"
            f'sb.options = options.replace(limits={{**dict(options.limits or {{}}), "{name}": {value}}})  # {note}'
        )

    def more_files(self, now: int) -> str:
        most = most_files()
        code = (
            "from tvixbuild_nb import SpecOptions\nsb.options = (sb.options or SpecOptions.for_host())"
            f'.replace(rlimits={{"NOFILE": {max(most, now + 1)}}})'
        )
        return code if most > now else f"# in the shell that starts this: ulimit -Hn 65536; then\n{code}"

    def checkout(self) -> str:
        return 'run = sb.run(inputs="checkout")  # without FUSE; doctor() says whether allow_other works here'

    def again(self, option: str | None = None, seconds: int = 0) -> str:
        return "run = sb.run()" if option is None else f"run = sb.run({option}={seconds})  # seconds"

    def waiting(self, run: str) -> str:
        return "print(run.processes())"
