"""Questions: what can be asked about a run beyond what its record says; the answers are made in debug/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.request import BuildRequest, Redactor

if TYPE_CHECKING:
    from tvixbuild_nb.build import BuildResult
    from tvixbuild_nb.debug import Why


class Questions:
    """What :class:`Run` inherits; it has the attributes."""

    if TYPE_CHECKING:

        @property
        def result(self) -> BuildResult | None: ...

        @property
        def castore(self) -> Castore: ...

        @property
        def request(self) -> BuildRequest: ...

        @property
        def redactor(self) -> Redactor: ...

    def why(self, needle_or_input: str | bytes | Node) -> Why:
        """Where in the outputs a reference stands: file, offset and context, targets of symlinks and names too.

        An input is given by its name, its path inside or its node: then it is looked for as its needle. Nothing is
        found where there are no outputs, since the run failed or goes on. Raises :class:`InvalidValue` for an empty
        needle and a node that is no input, :class:`NotFound` for what the store has no more.
        """
        from tvixbuild_nb.debug import needle_of, why  # loaded when first asked

        outputs = {} if self.result is None else {output.path: output.node for output in self.result.outputs}
        return why(self.castore, outputs, needle_of(self.request, needle_or_input), self.redactor)
