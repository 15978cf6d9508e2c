"""The command that offers builds and contents to others."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import Commands, count


def add_serving(commands: Commands) -> None:
    serve = commands.add(
        "serve", "serving:serve", "offer builds and contents over gRPC, as Tvix and Snix do", "store", "host-builder",
        more="It ends on SIGTERM or Ctrl-C; builds that go on are cancelled then. Whoever reaches it can run programs "
        "in sandboxes of this machine: it listens on loopback, on sockets, or with certificates of clients.",
    )  # fmt: skip
    serve.add_argument(
        "--listen", metavar="ADDR", default="127.0.0.1:0", help="HOST:PORT or unix:/path; a free port unless given"
    )
    serve.add_argument("--max-builds", metavar="N", type=count, default=2, help="how many at once, 2; 64 more wait")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate of this server, as PEM")
    serve.add_argument("--tls-key", metavar="FILE", help="its key")
    serve.add_argument("--client-ca", metavar="FILE", help="authority whose certificates clients must have")
    serve.add_argument("--insecure", action="store_true", help="listen anywhere, without asking who calls")
    serve.add_argument(
        "--allow-ro-path",
        metavar="PATH",
        action="append",
        default=[],
        help="let builds ask to read exactly this path of this host, and so what is below",
    )
