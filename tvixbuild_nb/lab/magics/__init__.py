"""magics: a cell's body as a script in a sandbox (``%%sandbox``), and the common verbs in one line (``%sandbox``).

``words`` reads lines, ``session`` knows the sandboxes of a notebook, ``verbs`` are what ``%sandbox`` can do, ``cell``
is ``%%sandbox``, ``completion`` completes both; ``extension`` puts them into a shell and takes them out again.
"""

from tvixbuild_nb.lab.magics.extension import load_ipython_extension, unload_ipython_extension

__all__ = ["load_ipython_extension", "unload_ipython_extension"]
