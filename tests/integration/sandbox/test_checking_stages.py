"""sb.check() of builds in several stages, with the host's real tools: what is blamed, and where it began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import Castore, open_castore

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

_TOOLS = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]
_BEGIN = "mkdir $out; cp -r /nix/store/src /build/src; chmod -R u+w /build/src; cd /build/src\n"
_END = "\nar rcs$D lib.a $OBJECTS; gcc -Wl,--build-id=none main.o lib.a -o $out/prog; cp lib.a $out"
_COMPILE = "for each in *.c; do gcc -c $each -o ${each%.c}.o; done; OBJECTS='a.o b.o'; D=D"


@pytest.fixture
def store(passable_tmp: Path) -> Castore:
    return open_castore(f"file:{passable_tmp / 'store'}")


@pytest.fixture
def sandbox(passable_tmp: Path, tmp_path: Path, store: Castore) -> Any:
    """Makes a sandbox with a C program of three files, which builds by this script."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.c").write_text("int a(void); int b(void); int main(void) { return a() + b(); }\n")
    for name in "ab":
        (source / f"{name}.c").write_text(f"const char *file_{name} = __FILE__; int {name}(void) {{ return 0; }}\n")

    def make(script: str) -> Sandbox:
        made = Sandbox(
            ["/usr/bin/env", "bash", "-ec", _BEGIN + script],
            outputs=["nix/store/out"],
            env={"PATH": "/usr/bin:/bin", "out": "/nix/store/out", "TMPDIR": "/build"},
            available_ro_paths=_TOOLS,
            provide_bin_sh=False,
            store=store,
            builder=OCIBuildService(passable_tmp / "bundles", store),
        )
        made.add_input("src", source)
        return made

    return make


def test_a_build_without_any_of_that_is_the_same_each_time(sandbox: Any) -> None:
    checked = sandbox(_COMPILE + _END).check(n=2)
    assert checked, str(checked)


@pytest.mark.parametrize(
    ("script", "variation", "origin", "likely", "others"),
    [
        ("echo 'const char *when = __DATE__ \" \" __TIME__;' >> b.c\n" + _COMPILE + _END, None, "b.o", "a time", 3),
        (_COMPILE + "; D=U" + _END, None, "lib.a", "times or owners in an archive (ar); ar D", 1),
        ("cp a.c doc; gzip doc; cp doc.gz $out", None, "doc.gz", "gzip -n", 1),
        ("tar cf all.tar *.c; gzip -n < all.tar > $out/all.tar.gz", None, "all.tar", "archive (tar); tar --mtime", 1),
        (
            "echo 'x = 1' > m.py; python3 -m compileall -q m.py; cp __pycache__/* $out",
            None, "__pycache__/m.*.pyc", "compiled Python", 1,
        ),
        (
            "python3 -c 'print(set(map(str, range(50))))' > names; wc -c < names > $out/size; cp names $out/names",
            None, "names", "the same words in another order", 1,
        ),
        ("echo \"char host[] = \\\"$(uname -n)\\\";\" >> b.c\n" + _COMPILE + _END, "hostname", "b.c", "hostname", 4),
        ("date -d @0 > stamp; cat stamp *.c > $out/all", "timezone", "stamp", "a time", 1),
        ("for each in h g f e d c; do cp a.c $each.c; done; find . -name '*.c' > list\n"
         "cat $(cat list) > all; sort all | uniq -c > counts; cp list counts $out", "order", "list", "same lines", 2),
    ],
    ids=["date", "ar", "gzip", "tar", "pyc", "hashseed", "hostname", "timezone", "order"],
)  # fmt: skip
def test_the_variation_and_the_file_are_named(
    sandbox: Any, script: str, variation: str | None, origin: str, likely: str, others: int
) -> None:
    checked = sandbox(script).check(n=2)
    text = str(checked)
    if variation == "order" and any(each.startswith("listing:") for each in checked.not_varied):
        assert checked, text
        return
    [cause] = checked.causes
    assert (None if cause.variation is None else cause.variation.name) == variation, text
    assert Path(cause.origin.path).match(f"/build/src/{origin}") and not cause.origin.output, text
    assert cause.looks_like is not None and likely in cause.looks_like, text
    assert cause.origin.others == others, text
