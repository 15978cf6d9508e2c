"""serve: builds and contents offered to others over gRPC, in Tvix's and in Snix's words.

``listening`` says where one may listen, ``blobs``, ``directories``, ``builds`` and ``about`` are the services.
``calls`` gives each kind of call threads of its own, ``patience`` takes them back from who is idle, ``refusals`` turns
errors into gRPC's, ``server`` puts them together.
"""

from tvixbuild_nb.serve.listening import Listen, Tls
from tvixbuild_nb.serve.server import Server, ServerOptions

__all__ = ["Listen", "Server", "ServerOptions", "Tls"]
