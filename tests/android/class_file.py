"""Which methods and fields of a platform compiled classes call, and whether it has them.

The format is that of the Java Virtual Machine Specification, chapter 4: a class names everything
that it calls in its constant pool.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

#: Bytes of a constant by its tag; a text (1) has its own length. Long and double take two places.
_SIZES = {
    **dict.fromkeys((3, 4, 9, 10, 11, 12, 17, 18), 4),
    **dict.fromkeys((5, 6), 8),
    **dict.fromkeys((7, 8, 16, 19, 20), 2),
    15: 3,
}
_TEXT, _CLASS, _NAME_AND_TYPE, _WIDE = 1, 7, 12, (5, 6)
_MEMBERS = (9, 10, 11)  # field, method, method of an interface


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A method or field, as a class file names it."""

    owner: str
    name: str
    descriptor: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}{self.descriptor}"


@dataclass(frozen=True, slots=True)
class ClassFile:
    """A class: what it is made of, and what it calls.

    Args:
        name: with slashes, such as ``java/lang/Object``.
        parents: its superclass and interfaces.
        members: names and descriptors of its methods and fields.
        calls: members of other classes that its code may name.
        classes: other classes that it names.
    """

    name: str
    parents: tuple[str, ...]
    members: frozenset[tuple[str, str]]
    calls: frozenset[Member]
    classes: frozenset[str]


def classes_of(archive: Path) -> dict[str, ClassFile]:
    """The classes of a .jar, by their names."""
    with zipfile.ZipFile(archive) as jar:
        names = [name for name in jar.namelist() if name.endswith(".class")]
        return {found.name: found for found in (_parse(jar.read(name)) for name in names)}


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a .jar, which are read when they are asked for, on top of others."""

    archive: zipfile.ZipFile
    read: dict[str, ClassFile]

    def get(self, name: str) -> ClassFile | None:
        if name not in self.read and f"{name}.class" in self.archive.NameToInfo:
            self.read[name] = _parse(self.archive.read(f"{name}.class"))
        return self.read.get(name)


def missing_in(platform: Path, used: dict[str, ClassFile]) -> set[str]:
    """What classes call of Java and Android that a platform's .jar has not.

    D8 replaces what the compiler makes of ``java.lang.invoke``: lambdas and joined strings.
    """
    with zipfile.ZipFile(platform) as archive:
        return _missing(Classes(archive, dict(used)), used)


def _missing(known: Classes, used: dict[str, ClassFile]) -> set[str]:
    ours = [Member(c, "", "") for file in used.values() for c in file.classes]
    calls = [call for file in used.values() for call in file.calls]
    return {
        str(call)
        for call in (*ours, *calls)
        if call.owner.startswith(("java/", "javax/", "android/", "dalvik/")) or call.owner in used
        if not call.owner.startswith("java/lang/invoke/") and not _has(known, call.owner, call)
    }


def _has(known: Classes, owner: str, member: Member) -> bool:
    found = known.get(owner)
    if found is None:  # of Kotlin or another library, which has it or does not compile
        return not owner.startswith(("java/", "javax/", "android/", "dalvik/"))
    if not member.name or (member.name, member.descriptor) in found.members:
        return True
    return any(_has(known, parent, member) for parent in found.parents)


def _parse(data: bytes) -> ClassFile:
    constants, at = _constants(data)

    def text(place: int) -> str:
        kind, value = constants[place]
        if kind == _TEXT:
            return value.decode("utf-8", "replace")
        return text(struct.unpack_from(">H", value)[0])

    def member(value: bytes) -> Member:
        owner, described = struct.unpack(">HH", value)
        name, descriptor = struct.unpack(">HH", constants[described][1])
        return Member(text(owner), text(name), text(descriptor))

    _, this, parent, count = struct.unpack_from(">HHHH", data, at)
    interfaces = struct.unpack_from(f">{count}H", data, at + 8)
    members, at = set(), at + 8 + 2 * count
    for _ in range(2):  # fields, then methods
        (count,), at = struct.unpack_from(">H", data, at), at + 2
        for _ in range(count):
            _, name, descriptor, attributes = struct.unpack_from(">HHHH", data, at)
            members.add((text(name), text(descriptor)))
            at += 8
            for _ in range(attributes):
                at += 6 + struct.unpack_from(">I", data, at + 2)[0]
    named = {text(place) for place, (kind, _) in constants.items() if kind == _CLASS}
    return ClassFile(
        text(this),
        tuple(text(place) for place in (parent, *interfaces) if place),
        frozenset(members),
        frozenset(
            call
            for kind, value in constants.values()
            if kind in _MEMBERS and not (call := member(value)).owner.startswith("[")
        ),
        frozenset(name for name in named if not name.startswith("[")),
    )


def _constants(data: bytes) -> tuple[dict[int, tuple[int, bytes]], int]:
    """The constant pool, by place, and where it ends."""
    (count,) = struct.unpack_from(">H", data, 8)
    found, at, place = {}, 10, 1
    while place < count:
        kind = data[at]
        at += 1
        if kind == _TEXT:
            size = struct.unpack_from(">H", data, at)[0]
            at += 2
        else:
            size = _SIZES[kind]
        found[place] = (kind, data[at : at + size])
        at += size
        place += 2 if kind in _WIDE else 1
    return found, at
