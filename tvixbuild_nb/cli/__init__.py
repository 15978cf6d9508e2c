"""cli: the command ``tvixbuild-nb``, for terminals and scripts.

``parser`` says what the command line looks like and names the function of each command, which is imported only
when it is called; ``entry`` calls it and turns errors into a message and an exit status. ``screen`` is how things
are written, ``places`` what REQUEST and DIGEST/path mean, ``summary`` how a run is summed up; the other modules
hold the commands, one group each.
"""

from tvixbuild_nb.cli.entry import main

__all__ = ["main"]
