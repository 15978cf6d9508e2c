"""proto: the wire messages of tvix.castore.v1 and tvix.build.v1, generated from the .proto files here.

Import ``castore_pb2`` or ``build_pb2`` only where bytes or JSON are read or written: protobuf takes
its time to import. After a change of a .proto file run ``python -m tvixbuild_nb.proto.generate``.
"""
