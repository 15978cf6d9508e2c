"""From a derivation to the BuildRequest that builds it: planned purely from its closure, or with inputs fetched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tvixbuild_nb.castore import Castore, FileNode
from tvixbuild_nb.errors import InvalidDerivation, NotFound, UnsupportedDerivation
from tvixbuild_nb.nix.aterm import parse_aterm
from tvixbuild_nb.nix.attributes import Attributes, text
from tvixbuild_nb.nix.derivation import DERIVATION_SUFFIX, Derivation
from tvixbuild_nb.nix.environment import BUILD_DIR, builder_view
from tvixbuild_nb.nix.graphs import GraphPaths, asked_graphs
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.reading import MAX_SIZE
from tvixbuild_nb.nix.refusals import FEATURES, check_supported
from tvixbuild_nb.nix.sources.protocol import OTHER_PLACES, Fetched, PathSource, closure, fetch
from tvixbuild_nb.nix.storepath import StorePath
from tvixbuild_nb.request import BuildConstraints, BuildRequest, FrozenMap


@dataclass(frozen=True, slots=True)
class BuilderOptions:
    """What is up to the builder, not to the derivation.

    Parameters: ``cores``, what NIX_BUILD_CORES says, 0 for all there are; ``impure``, values of impureEnvVars, which
    the request of a fixed-output derivation that names them then holds, and shows; ``features``, the system features.
    """

    cores: int = 0
    impure: Mapping[str, str] = field(default_factory=FrozenMap)
    features: Collection[str] = FEATURES


def plan_request(
    derivation: Derivation,
    inputs: Mapping[StorePath, Fetched],
    options: BuilderOptions | None = None,
    *,
    graphs: GraphPaths | None = None,
) -> BuildRequest:
    """The request that builds ``derivation`` as Nix would; pure. Where it differs, ``differences`` says.

    Parameters: ``inputs``, the whole closure of its inputs; ``graphs``, needed when an exported references graph
    reaches a derivation (None: the inputs tell all). :class:`UnsupportedDerivation` for what is not done here,
    :class:`InvalidDerivation` for what Nix would not build either, :class:`InvalidRequest` for a variable that a
    request cannot hold.
    """
    options = options or BuilderOptions()
    check_supported(derivation, options.features)
    graphs = graphs or GraphPaths(frozenset(inputs), {path: each.info for path, each in inputs.items()})
    view = builder_view(derivation, graphs, cores=options.cores, impure=options.impure)
    store = derivation.store_dir.path.lstrip("/")
    build = BUILD_DIR.lstrip("/")
    needles = [path.hash_part for path in (*requested_outputs(derivation), *sorted(inputs))]
    return BuildRequest(
        inputs={path.basename: each.node for path, each in inputs.items()},
        command_args=[text(derivation.builder, "builder"), *view.args],
        working_dir=build,
        scratch_paths=[build, store],
        inputs_dir=store,
        outputs=[f"{store}/{path}" for path in requested_outputs(derivation)],
        environment_vars=view.variables,
        constraints=BuildConstraints(
            system=text(derivation.system, "system"),
            network_access=derivation.kind == "fixed",
            provide_bin_sh=True,
        ),
        additional_files={f"{build}/{name}": contents for name, contents in view.files.items()},
        refscan_needles=needles,
    )


def requested_outputs(derivation: Derivation) -> tuple[StorePath, ...]:
    """The paths of its outputs in the order of the request's; :class:`UnsupportedDerivation` when one is not known."""
    paths = [output.path for output in derivation.outputs.values() if output.path is not None]
    if len(paths) < len(derivation.outputs):
        raise UnsupportedDerivation("its output paths are not known yet", path="outputs", hint="build it with Nix")
    return tuple(sorted(paths))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose inputs are in a castore, and what is known of the closure of its inputs."""

    request: BuildRequest
    inputs: Mapping[StorePath, PathInfo]


def request_for(
    derivation: Derivation,
    source: PathSource,
    castore: Castore,
    options: BuilderOptions | None = None,
    *,
    read: ReadDerivation | None = None,
) -> BuildRequest:
    """The request that builds ``derivation``; see :func:`prepare`."""
    return prepare(derivation, source, castore, options, read=read).request


def prepare(
    derivation: Derivation,
    source: PathSource,
    castore: Castore,
    options: BuilderOptions | None = None,
    *,
    read: ReadDerivation | None = None,
) -> Prepared:
    """The request that builds ``derivation``, its inputs put from ``source`` into ``castore``.

    Parameters: ``read`` reads the derivations of its inputs (None: from ``source``). Raises what :func:`plan_request`
    raises, before anything is fetched where possible; :class:`NotFound` names what is missing and what needs it.
    """
    options = options or BuilderOptions()
    check_supported(derivation, options.features)
    read = read or derivations_from(source, castore)
    roots = input_paths(derivation, read)
    infos = closure(source, roots, roots)
    graphs = _graph_paths(derivation, infos, source, read)
    return Prepared(plan_request(derivation, fetch(source, infos, castore), options, graphs=graphs), infos)


def input_paths(derivation: Derivation, read: ReadDerivation) -> dict[StorePath, str]:
    """The paths that the derivation names as inputs, each with what it is."""
    found = dict.fromkeys(derivation.input_sources, f"a source of {derivation.name}")
    for path, names in derivation.input_derivations.items():
        outputs = read(path).outputs
        for name in names:
            if name not in outputs:
                raise InvalidDerivation(f"{path} has no output {name}", path="input_derivations")
            output = outputs[name].path
            if output is None:
                raise UnsupportedDerivation(
                    f"where the output {name} of {path} lies follows from its contents",
                    path="input_derivations",
                    hint="build it with Nix",
                )
            found[output] = f"the output {name} of {path}, to be built first (nix-store -r)"
    return found


def derivations_from(source: PathSource, castore: Castore) -> ReadDerivation:
    """A function that reads the derivation of a store path from ``source``, through ``castore``."""

    def read(path: StorePath) -> Derivation:
        place = source.store.join(path)
        try:
            node = source.node(path, castore)
        except NotFound as error:
            hint = f"it tells where its outputs lie; nix copy --derivation brings it, or {OTHER_PLACES}"
            raise NotFound(error.message, path=place, hint=hint) from error
        if not isinstance(node, FileNode) or node.size > MAX_SIZE:
            raise InvalidDerivation("not a derivation's file", path=place)
        data = castore.tree(node).read_bytes()
        return parse_aterm(data, path.name.removesuffix(DERIVATION_SUFFIX), store_dir=source.store, source=place)

    return read


def _graph_paths(
    derivation: Derivation, infos: Mapping[StorePath, PathInfo], source: PathSource, read: ReadDerivation
) -> GraphPaths:
    """What the exported graphs are made of: ``infos``, and the outputs of the derivations in them."""
    inputs = GraphPaths(frozenset(infos), infos)
    roots = [root for graph in asked_graphs(Attributes.of(derivation)).values() for root in graph]
    outputs: dict[StorePath, tuple[StorePath, ...]] = {}
    for info in inputs.closure(root for root in roots if root in infos):
        if info.path.is_derivation:
            outputs[info.path] = requested_outputs(read(info.path))
    why = {path: f"an output of {drv}, whose graph is asked for" for drv, paths in outputs.items() for path in paths}
    more = closure(source, [path for path in why if path not in infos], why)
    return GraphPaths(inputs.inputs, {**infos, **more}, outputs)
