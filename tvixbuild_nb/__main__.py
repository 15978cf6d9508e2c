"""``python -m tvixbuild_nb`` is the command ``tvixbuild-nb``."""

import sys

from tvixbuild_nb.cli import main

if __name__ == "__main__":
    sys.exit(main())
