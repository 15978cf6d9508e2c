"""workers: builds that are done by somebody else's processes, on this host or on a cluster.

A ``Job`` goes to a worker, which calls ``build_job`` (``worker``, ``telling``, ``transient``, ``fitness``,
``homing``); what it tells comes back through a ``Line`` (``sockets`` and ``exchange``, ``dasklines``) to ``Sending``,
which is one build's life on this side. A ``Pool`` has the workers: of an executor (``pool``), or of a Dask cluster
(``dasks``); ``opening`` makes one, ``reachable`` says what workers can be given.
"""

from tvixbuild_nb.build.workers.job import Unfit
from tvixbuild_nb.build.workers.refusals import RefusalsAsResults
from tvixbuild_nb.build.workers.service import WorkersBuildService

__all__ = ["RefusalsAsResults", "Unfit", "WorkersBuildService"]
