"""proto: the wire messages and services of Tvix (``castore``, ``build``), of Snix (``snix_castore``, ``snix_build``)
and our own (``watched``, ``manyblobs``), generated from the .proto files here.

Import the modules only where bytes or JSON are read or written: protobuf takes
its time to import. After a change of a .proto file run ``python -m tvixbuild_nb.proto.generate``.
"""
