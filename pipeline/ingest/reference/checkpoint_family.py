"""Which family the networks of a checkpoint belong to, by its keys. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.model.wrapping import strip_remedy, wrapping

#: What all keys begin with.
ROOT = "swapnet"
_FAMILY = re.compile(rf"{ROOT}\.(teacher|student)\.(resnet|vgg|vit)\.")
_START = f"{ROOT}."
#: Where a wrapper's word is not that of a ViT's blocks, which are called so in the format itself.
_INNER = re.compile(rf"^(.*?{ROOT}\.(?:(?:teacher|student)\.)?(?:(?:resnet|vgg|vit)\.)?)module\.")
_BARE = re.compile(r"(teacher|student)\.(resnet|vgg|vit|classifier)\.")
_OTHER_FAMILY = re.compile(rf"{ROOT}\.(?:teacher|student)\.(lenet5)\.")


def require_root(keys: Collection[str], path: Path) -> None:
    """Checks that tensors are called as the Trainer calls them, without anything around.

    Raises:
        UsageError: prefixes of wrappers stand in the keys, or what all of them begin with is
            missing; says how to make it right.
    """
    plain = [_INNER.sub(r"\1", key.replace("_orig_mod.", "")) for key in keys]
    roots = [key[key.index(_START) :] if _START in key else key for key in plain]
    wanted = {key for key in roots if key.startswith(_START)}
    if wanted and (found := wrapping(keys, wanted)):
        raise UsageError(f"{path}: {found}", strip_remedy(found, path))
    if not wanted and any(_BARE.match(key) for key in keys):
        raise UsageError(
            f"{path}: its keys do not begin with {_START}, such as {min(keys)}: it is the swapnet "
            "alone, out of the distiller that the Trainer saves",
            "save it as {'" + _START + "' + k: v for k, v in load_file(path).items()}, or name the "
            "checkpoint that it is from",
        )


def family_of(keys: Iterable[str], path: object) -> str:
    """The family of the two networks that some keys belong to.

    Args:
        keys: of all tensors.
        path: the file they are in, for errors.

    Raises:
        UsageError: they belong to a family that is not read.
        IntegrityError: they belong to no teacher and student of one family.
    """
    keys = list(keys)
    found = {match.groups() for key in keys if (match := _FAMILY.match(key))}
    families = {family for _, family in found}
    if len(families) == 1 and len(found) == 2:
        return families.pop()
    if found:
        what = "holds " + " and ".join(sorted(f"{ROOT}.{role}.{name}" for role, name in found))
    elif other := next(filter(None, map(_OTHER_FAMILY.match, keys)), None):
        raise UsageError(
            f"{path}: its networks are of the family {other[1]}, which is not read",
            "name a checkpoint of resnet, vgg or vit",
        )
    else:
        what = f"holds {sorted(keys)[0] if keys else 'no tensor at all'}, " + (
            f"and nothing that begins with {ROOT}.teacher. or {ROOT}.student."
        )
    raise IntegrityError(
        f"{path}: {what}",
        "name a checkpoint of the distillation, which holds teacher and student of one family "
        "(resnet, vgg or vit)",
    )
