"""What a run used of its inputs and what it looked for, as tables; trees coloured by use are the view of inputs."""

from tvixbuild_nb.widgets.accesses.forms import accesses_forms

__all__ = ["accesses_forms"]
