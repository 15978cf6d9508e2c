"""Cures as attributes of a derivation and commands of a shell, for runs whose request follows from a .drv file."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass

from tvixbuild_nb.debug.cures.sandbox import literal, most_files, scratch
from tvixbuild_nb.request import BuildRequest

_IN = "# in the derivation"
# What a store path is called, without its hash and version: what most packages are called in an expression.
_STORE_NAME = re.compile(r"[0-9a-z]{32}-([A-Za-z_][\w+.-]*?)(?:-\d[^/]*)?(?:-(?:dev|lib|bin|out))?$")


@dataclass(frozen=True, slots=True)
class DerivationCures:
    """See :class:`~tvixbuild_nb.debug.cures.protocol.Cures`; ``derivation`` is the .drv's base name."""

    request: BuildRequest
    derivation: str

    def known(self, cure: str, elsewhere: str) -> str:
        return elsewhere

    def variable(self, name: str, value: str) -> str:
        return f"{name} = {literal(value)};  {_IN}"

    def stands_for(self, name: str, path: str) -> str:
        variable = self._output(path)
        value = f'placeholder "{variable[1:]}"' if variable.startswith("$") else literal(path)
        return f"{name} = {value};  {_IN}; or write {variable} in the builder"

    def search_path(self, variable: str, directory: str) -> str:
        package, rest = self._package(directory)
        kind = "nativeBuildInputs" if variable == "PATH" else "buildInputs"
        return f'{kind} = [ {package} ];  {_IN}; without stdenv: {variable} = "${{{package}}}{rest}";'

    def _package(self, path: str) -> tuple[str, str]:
        """How an expression is likely to call what has ``path``, and what stands behind that."""
        top, _, rest = path.removeprefix(f"/{self.request.inputs_dir}/").partition("/")
        found = _STORE_NAME.match(top)
        name = re.sub(r"\W", "_", found[1] if found else "PACKAGE")
        return f"pkgs.{name}", f"/{rest}" if rest else ""

    def program(self, name: str) -> str:
        called = posixpath.basename(name)
        return (
            f"nativeBuildInputs = [ pkgs.PACKAGE ];  {_IN}: the package that has {called}; without stdenv its bin in "
            "PATH, too"
        )

    def path(self, path: str) -> str:
        if path.startswith(f"/{self.request.inputs_dir}/"):
            top = path.removeprefix(f"/{self.request.inputs_dir}/").partition("/")[0]
            if top in self.request.inputs:
                return f"# the input {top} has no such file: mend what builds it, or name what is there"
            return f"# {top} is no input: name it by its package (${{PACKAGE}}), which makes it one"
        return f"{self.program(path)}\n# and name it by that: ${{pkgs.PACKAGE}}/bin/{posixpath.basename(path)}"

    def package(self, file: str, variable: str) -> str:
        return f"buildInputs = [ pkgs.PACKAGE ];  {_IN}: the package that has {file}; without stdenv also {variable}"

    def with_libraries(self, program: str, name: str) -> str:
        return (
            f"nativeBuildInputs = [ pkgs.autoPatchelfHook ];  {_IN}: {posixpath.basename(program)} was linked for a "
            f"system with {name}\nbuildInputs = [ pkgs.PACKAGE ];  # what has {posixpath.basename(name)}"
        )

    def beside(self, program: str, owner: str, name: str, missing: tuple[str, ...]) -> str:
        above = f"/{self.request.inputs_dir}/"
        lost = [name, *missing] if name.startswith("/") else list(missing)
        tops = [path.removeprefix(above).partition("/")[0] for path in lost if path.startswith(above)]
        gone = next((top for top in tops if top not in self.request.inputs), None)
        if gone is not None:
            return (
                f"# {owner} has {posixpath.basename(program)} and refers to {gone}, which its closure here lacks:\n"
                f"nix-store --verify --check-contents --repair  # then: nix-store -qR {above}{owner}"
            )
        if name.startswith("/"):
            return f"# mend what builds {owner}:\n{self.with_libraries(program, name)}"
        return (
            f"# the input {owner} has {posixpath.basename(program)}, and no input {name}:\n"
            f"{self.package(name, 'LD_LIBRARY_PATH')}"
        )

    def toolchain(self) -> str:
        return f"nativeBuildInputs = [ pkgs.gcc ];  {_IN}: its wrapper knows all parts; or stdenv.mkDerivation"

    def shebang(self, interpreter: str, called: str, instead: str, owner: str | None) -> str:
        where = _IN if owner is None else f"# in what builds {owner}"
        return (
            f"nativeBuildInputs = [ pkgs.PACKAGE ];  {where}: the package that has {posixpath.basename(called)}\n"
            "postPatch = ''patchShebangs .'';  # a script that is installed as it is: postInstall, patchShebangs $out\n"
            f"# without stdenv: sed -i '1s|.*|#!{instead}|' SCRIPT"
        )

    def executable(self, path: str, name: str | None, place: str) -> str:
        owner = f"what builds the input {name}" if name else "what makes it"
        return f"# the builder can start it by its interpreter: sh {path}; or chmod +x it in {owner}"

    def command(self, program: str, instead: str | None = None) -> str:
        package, rest = self._package(program)
        named = "" if instead is None else f"; or wherever {instead} is named"
        return f'builder = "${{{package}}}{rest}";  {_IN}{named}'

    def by_shell(self, script: str, note: str) -> str:
        return f'builder = "/bin/sh"; args = [ {literal(script)} ];  {_IN}: {note}'

    def shell(self) -> str:
        return f'builder = "${{pkgs.bash}}/bin/bash";  {_IN}'

    def written(self, near: str, wanted: str) -> str:
        return f"mv {near} {self._output(wanted)}  # in the builder; or write there at once"

    def _output(self, path: str) -> str:
        """The variable that holds an output's path, where there is one; else the path."""
        variables = self.request.environment_vars.items()
        path = f"/{path.lstrip('/')}"
        return next((f"${name}" for name, value in variables if value.decode("utf-8", "replace") == path), path)

    def unwritten(self, wanted: str) -> str:
        variable = self._output(wanted)
        return f"# in the builder: mkdir -p {variable}, or ... > {variable}"

    def line_ends(self, files: tuple[str, ...]) -> str:
        where = ", ".join(files) or "the text of args, or of the attribute"
        return rf"sed -i 's/\r$//' FILE  # the .nix file, or the script it reads: {where}"

    def writable(self, directory: str | None) -> str:
        return f"# in the builder: write below $TMPDIR (/{scratch(self.request)}), and what is to stay into $out"

    def given(self, path: str, *, here: bool) -> str:
        return f"# {path} is no path of Nix's: copy the file into the source, or name it by the package that has it"

    def disk(self) -> str:
        return f"{self._run('--builder oci:/path/on/a/bigger/disk')}  # or free space below the bundle root"

    def _run(self, options: str) -> str:
        return f"tvixbuild-nb drv run {self._place()} {options}".rstrip()

    def _place(self) -> str:
        place = f"/{self.request.inputs_dir}/{self.derivation}"
        return place if os.path.exists(place) else self.derivation

    def certificates(self) -> str:
        return f'SSL_CERT_FILE = "${{pkgs.cacert}}/etc/ssl/certs/ca-bundle.crt";  {_IN}'

    def network(self, otherwise: str) -> str:
        fetch = 'pkgs.fetchurl { url = "..."; hash = pkgs.lib.fakeHash; }'
        return f"src = {fetch};  {_IN}: a fixed output is fetched with the network, and then it is an input"

    def limit(self, name: str, value: int, note: str) -> str:
        code = self._with(f'limits={{"{name}": {value}}}')
        return f"{code}  # {note}"

    def more_files(self, now: int) -> str:
        return self._with(f'rlimits={{"NOFILE": {max(most_files(), now + 1)}}}')

    def _with(self, change: str) -> str:
        """What builds it in a sandbox with another option, which the derivation has no word in."""
        return (
            "from tvixbuild_nb import Sandbox, SpecOptions\n"
            f"options = SpecOptions.for_host({change})\n"
            f"run = Sandbox.from_derivation({literal(self._place())}, options=options).run()"
        )

    def checkout(self) -> str:
        return f"{self._run('--inputs checkout')}  # without FUSE; tvixbuild-nb doctor says whether allow_other works"

    def again(self, option: str | None = None, seconds: int = 0) -> str:
        if option is None:
            return self._run("")
        options = f"--{option.replace('_', '-')} {seconds}"
        return f"{self._run(options)}  # seconds"

    def waiting(self, run: str) -> str:
        return f"tvixbuild-nb processes {run}"
