"""What an ELF file needs to be started: machine, interpreter, shared libraries and where to look; see elf(5)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 15, 29
# What a damaged file could ask for.
_MOST = 16 << 20


@dataclass(frozen=True, slots=True)
class Elf:
    """``machine`` is e_machine; ``search`` RUNPATH, else RPATH, as written ($ORIGIN not replaced)."""

    machine: int
    wide: bool
    interpreter: str | None = None
    dynamic: bool = False
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


def read_elf(file: BinaryIO) -> Elf | None:
    """The needs of the ELF file, which is seekable; None when it is none or damaged."""
    try:
        return _read(file)
    except (struct.error, IndexError, ValueError):
        return None


def _read(file: BinaryIO) -> Elf | None:
    header = file.read(64)
    if header[:4] != MAGIC:
        return None
    wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
    (machine,) = struct.unpack_from(f"{order}H", header, 18)
    (offset,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", header, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", header, 54 if wide else 42)
    table = _at(file, offset, size * count)
    interpreter, loads, dynamic = None, [], None
    for index in range(count):
        entry = table[index * size : (index + 1) * size]
        (kind,) = struct.unpack_from(f"{order}I", entry, 0)
        if wide:
            start, address, _, length = struct.unpack_from(f"{order}QQQQ", entry, 8)
        else:
            start, address, _, length = struct.unpack_from(f"{order}IIII", entry, 4)
        if kind == _PT_LOAD:
            loads.append((address, start, length))
        elif kind == _PT_DYNAMIC:
            dynamic = _at(file, start, length)
        elif kind == _PT_INTERP:
            interpreter = os.fsdecode(_at(file, start, length).split(b"\0", 1)[0])
    if dynamic is None:
        return Elf(machine, wide, interpreter)
    form = struct.Struct(f"{order}QQ" if wide else f"{order}II")
    entries = [form.unpack_from(dynamic, at) for at in range(0, len(dynamic) - form.size + 1, form.size)]
    known = dict(entries)
    place = next((start + known.get(_DT_STRTAB, 0) - address for address, start, length in loads
                  if address <= known.get(_DT_STRTAB, 0) < address + length), None)  # fmt: skip
    if place is None:
        return Elf(machine, wide, interpreter, dynamic=True)
    strings = _at(file, place, known.get(_DT_STRSZ, 0))

    def text(at: int) -> str:
        return os.fsdecode(strings[at:].split(b"\0", 1)[0])

    search = known.get(_DT_RUNPATH, known.get(_DT_RPATH))
    return Elf(
        machine,
        wide,
        interpreter,
        dynamic=True,
        needed=tuple(text(value) for tag, value in entries if tag == _DT_NEEDED),
        search=() if search is None else tuple(part for part in text(search).split(":") if part),
    )


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(min(length, _MOST))
