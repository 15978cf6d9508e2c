"""What a builder finds when it starts: its variables, and the files that Nix puts into its temporary directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvixbuild_nb.nix.attributes import Attributes, text, words
from tvixbuild_nb.nix.derivation import Derivation
from tvixbuild_nb.nix.graphs import GraphPaths, asked_graphs, graph_file, graph_json
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.placeholder import placeholder
from tvixbuild_nb.nix.structured import attributes_json, attributes_shell

BUILD_DIR = "/build"
_TEMPORARY = ("NIX_BUILD_TOP", "PWD", "TEMP", "TEMPDIR", "TMP", "TMPDIR")


@dataclass(frozen=True, slots=True)
class BuilderView:
    """The arguments, the variables, and the files by their names below :data:`BUILD_DIR`; placeholders replaced."""

    args: tuple[str, ...]
    variables: Mapping[str, bytes]
    files: Mapping[str, bytes]


def builder_view(
    derivation: Derivation, graphs: GraphPaths, *, cores: int = 0, impure: Mapping[str, str] | None = None
) -> BuilderView:
    """What the builder of ``derivation`` sees.

    Parameters: ``graphs``, for exportReferencesGraph; ``cores``, what NIX_BUILD_CORES says, 0 for all there are;
    ``impure``, the values of impureEnvVars, of which a fixed-output derivation gets those that it names, empty where
    there is none. :class:`InvalidDerivation` for attributes that Nix would not take, and text that is not UTF-8.
    """
    attributes = Attributes.of(derivation)
    variables = _defaults(derivation, cores)
    files: dict[str, bytes] = {}
    if attributes.structured is None:
        _add_variables(derivation, variables, files)
        for name, roots in asked_graphs(attributes).items():
            files[name] = graph_file(graphs.graph(roots), derivation.store_dir)
    else:
        _add_structured(attributes, graphs, variables, files)
    if derivation.kind == "fixed":
        variables["NIX_OUTPUT_CHECKED"] = b"1"
        for name in attributes.strings("impureEnvVars"):
            variables[name] = (impure or {}).get(name, "").encode("utf-8", "surrogateescape")
    replaced = _Placeholders(derivation)
    return BuilderView(
        tuple(text(replaced(data), f"args[{index}]") for index, data in enumerate(derivation.args)),
        {text(replaced(name.encode()), "env"): replaced(value) for name, value in variables.items()},
        {name: replaced(contents) for name, contents in files.items()},
    )


class _Placeholders:
    """Puts the paths of the outputs where the derivation, written before they were known, has placeholders."""

    def __init__(self, derivation: Derivation) -> None:
        self._paths = [
            (placeholder(name).encode(), derivation.store_dir.join(output.path).encode())
            for name, output in derivation.outputs.items()
            if output.path is not None
        ]

    def __call__(self, data: bytes) -> bytes:
        for standing, path in self._paths:
            data = data.replace(standing, path)
        return data


def _defaults(derivation: Derivation, cores: int) -> dict[str, bytes]:
    fixed = {
        "HOME": "/homeless-shelter",
        "NIX_BUILD_CORES": str(cores),
        "NIX_LOG_FD": "2",
        "NIX_STORE": derivation.store_dir.path,
        "PATH": "/path-not-set",
        "TERM": "xterm-256color",
    }
    return {name: value.encode() for name, value in (fixed | dict.fromkeys(_TEMPORARY, BUILD_DIR)).items()}


def _add_variables(derivation: Derivation, variables: dict[str, bytes], files: dict[str, bytes]) -> None:
    as_files = set(words(text(derivation.env.get(b"passAsFile", b""), "passAsFile")))
    for key, value in derivation.env.items():
        name = text(key, "env")
        if name in as_files:
            file = f".attr-{NixHash.of('sha256', key).nixbase32}"
            files[file] = value
            variables[f"{name}Path"] = f"{BUILD_DIR}/{file}".encode()
        else:
            variables[name] = value


def _add_structured(
    attributes: Attributes, graphs: GraphPaths, variables: dict[str, bytes], files: dict[str, bytes]
) -> None:
    derivation = attributes.derivation
    value = dict(attributes.structured or {})
    value["outputs"] = {name: placeholder(name) for name in derivation.outputs}
    for name, roots in asked_graphs(attributes).items():
        value[name] = graph_json(graphs.graph(roots), graphs, derivation.store_dir)
    files[".attrs.json"] = attributes_json(value)
    files[".attrs.sh"] = attributes_shell(value)
    variables["NIX_ATTRS_JSON_FILE"] = f"{BUILD_DIR}/.attrs.json".encode()
    variables["NIX_ATTRS_SH_FILE"] = f"{BUILD_DIR}/.attrs.sh".encode()
