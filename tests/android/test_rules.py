"""consumer-rules.pro has R8, which is not to be had here, keep what C++ finds by name."""

from __future__ import annotations

import re

from tests.android.toolchain import JNI
from tests.fixtures import ROOT

RULES = ROOT / "android_harness" / "android" / "pwl" / "consumer-rules.pro"
_TYPES = {"Z": "boolean", "B": "byte", "I": "int", "J": "long", "F": "float", "V": "void"}


def java_type(descriptor: str) -> str:
    """A type as rules spell it, such as ``byte[]`` for ``[B``."""
    if descriptor.startswith("["):
        return java_type(descriptor[1:]) + "[]"
    return _TYPES.get(descriptor) or descriptor[1:-1].replace("/", ".")


def found_by_name() -> list[tuple[str, str, str]]:
    """Class, method and signature of each that jni/*.cc asks the JVM for."""
    found = []
    for path in sorted(JNI.glob("*.cc")):
        # A string that stands in two pieces is one.
        text = re.sub(r'"\s*\n\s*"', "", path.read_text())
        classes = dict(
            re.findall(r'(\w+) = (?:[^;]*\? nullptr : )?env->FindClass\("(\S+)"\)', text)
        )
        named = r'Get(?:Static)?(?:Method|Field)ID\(\s*(\w+),\s*"(\w+)",\s*"(\S+)"\)'
        for variable, method, signature in re.findall(named, text):
            found.append((classes[variable], method, signature))
        assert len(re.findall(r"ID\(", text)) == len(re.findall(named, text)), path
    return found


def kept() -> dict[str, str]:
    """What is kept of each class whose name is."""
    rules = re.findall(r"^-keep class (\S+)(?: \{(.*?)\})?$", RULES.read_text(), re.M | re.S)
    return {name.replace(".", "/"): " ".join(body.split()) for name, body in rules}


def test_every_method_that_is_found_by_name_is_kept() -> None:
    rules = kept()
    found = found_by_name()
    assert len(found) == 9
    for owner, method, signature in found:
        arguments, result = re.fullmatch(r"\((.*)\)(.+)", signature).groups()
        types = ", ".join(map(java_type, re.findall(r"\[*(?:L[^;]+;|[A-Z])", arguments)))
        kept_as = rf"public (?:static )?(?:\*\*\*|{re.escape(java_type(result))}) {method}"
        assert re.search(rf"{kept_as}\({re.escape(types)}\);", rules.get(owner, "")), (
            f"{owner}.{method}{signature}"
        )


def test_every_class_of_ours_that_a_signature_names_keeps_its_name() -> None:
    texts = "".join(path.read_text() for path in JNI.glob("*.cc"))
    named = set(re.findall(r"dev/pwl/\w+", texts))
    assert named == set(kept())


def test_the_methods_that_are_native_are_those_that_are_registered() -> None:
    assert kept()["dev/pwl/NativeModel"] == "native <methods>;"
    kotlin = (RULES.parent / "src/main/kotlin/dev/pwl/NativeModel.kt").read_text()
    registered = re.findall(r'Method\("(\w+)", ', (JNI / "native_methods.cc").read_text())
    assert sorted(registered) == sorted(re.findall(r"external fun (\w+)\(", kotlin))
