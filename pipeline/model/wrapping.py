"""What people's checkpoints have around the weights: prefixes of wrappers, tables, pickles.

Nothing is stripped in silence: which weights were meant is for who saved them to say.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

#: Who puts a word before the names of weights.
_WRAPPERS = {
    "module": "DataParallel or DistributedDataParallel",
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FullyShardedDataParallel",
    "_checkpoint_wrapped_module": "activation checkpointing",
    "model": "a module that holds the network as `model`, such as Lightning's",
    "net": "a module that holds the network as `net`",
    "network": "a module that holds the network as `network`",
    "state_dict": "a table that holds the weights under `state_dict`",
}
#: Tables in which training programs keep weights among other things.
_TABLES = ("state_dict", "model_state_dict", "model_state", "model", "weights", "ema_state_dict")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".tar")
_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

PICKLE_DANGER = "reading a pickle can run anything that somebody wrote into it"


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What stands in the names of weights that a model has without it.

    Attributes:
        parts: what names begin with or have in them, such as ``module.``, each after the words
            that it follows; the same words with dots in names that are right stay as they are.
        example: a name with it.
    """

    parts: tuple[tuple[str, str], ...]
    example: str

    def __str__(self) -> str:
        texts = dict.fromkeys(text for _, text in self.parts)
        found = " and ".join(f"{text!r} ({_origin(text)})" for text in texts)
        return f"the names of its weights have {found} in them, such as {self.example}"

    @property
    def code(self) -> str:
        """An expression that strips it from a name, `k`."""
        calls = (
            f".removeprefix({text!r})" if not before else f".replace({before + text!r}, {before!r})"
            for before, text in self.parts
        )
        return "k" + "".join(calls)


def wrapping(names: Iterable[str], wanted: Collection[str]) -> Wrapping | None:
    """What stands in some names where, without it, they would be among those that are wanted.

    Args:
        names: of weights.
        wanted: those that a model has.
    """
    found: dict[tuple[str, str], None] = {}
    example = ""
    for name in names:
        if name not in wanted and (parts := _around(name.split("."), wanted)):
            found |= dict.fromkeys(parts)
            example = example or name
    # From the front: what follows a word is looked for behind it as it then is.
    ordered = tuple(sorted(found, key=lambda part: len(part[0])))
    return Wrapping(ordered, example) if ordered else None


def _around(words: list[str], wanted: Collection[str]) -> list[tuple[str, str]]:
    """The parts of a name without which it is a wanted one; none if there are no such parts."""
    for start in range(1, len(words)):  # any words at all, as long as they come first
        if ".".join(words[start:]) in wanted:
            return [("", ".".join(words[:start]) + ".")]
    places = [number for number, word in enumerate(words[:-1]) if word in _WRAPPERS]
    choices = [places[:count] for count in range(1, len(places) + 1)]
    for taken in [*choices, *([number] for number in places)]:
        kept = [word for number, word in enumerate(words) if number not in taken]
        if ".".join(kept) in wanted:
            parts: list[tuple[str, str]] = []
            for number in taken:
                before = [word for n, word in enumerate(words[:number]) if n not in taken]
                parts.append(("".join(f"{word}." for word in before), f"{words[number]}."))
            return parts
    return []


def _origin(part: str) -> str:
    words = part.strip(".").split(".")
    known = [_WRAPPERS[word] for word in words if word in _WRAPPERS]
    return ", ".join(known) or "a module around the network"


def strip_remedy(found: Wrapping, path: Path | None = None) -> str:
    """How to get rid of a wrapping.

    Args:
        found: the wrapping.
        path: of a safetensors file that has it; None: weights that code has in hand.
    """
    if path is None:
        return f"strip it: load_state_dict({{{found.code}: v for k, v in weights.items()}})"
    return (
        "strip it and save again: from safetensors.torch import load_file, save_file; "
        f"save_file({{{found.code}: v for k, v in load_file({str(path)!r}).items()}}, "
        f"{str(path)!r}, metadata={{'format': 'pt'}})"
    )


def is_pickle(path: Path) -> bool:
    """Whether a file is what `torch.save` or pickle writes, by its first bytes or its name."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError:
        head = b""
    return head.startswith(_MAGIC) or path.suffix.lower() in _PICKLED


def input_advice(message: str) -> str | None:
    """What to do about an error of PyTorch's where a network may want tokens, or images of another
    number of channels, if it is one.

    Args:
        message: of the error.
    """
    if found := re.search(r"to have ([13]) channels, but got ([13]) channels", message):
        wanted, got = found.groups()
        return (
            f"where these are the images, set channels = {wanted} in [data], if they are of files; "
            f"of other sources, such as digits, give a network whose first layer takes {got}"
        )
    if "scalar type" not in message or "Long" not in message:
        return None
    return (
        "a network that reads tokens is given floats unless OwnModel(network, None, (LENGTH,), "
        "vocabulary=N) says how many there are; elsewhere correct what the error names"
    )


def load_advice(message: str) -> str | None:
    """What to do about an error of PyTorch's while code of a user's loads weights, if it is one.

    Args:
        message: of the error.
    """
    if "Error(s) in loading state_dict" in message:
        missing = _quoted(message, "Missing key")
        extra = _quoted(message, "Unexpected key")
        if found := wrapping(extra, set(missing)):
            return f"{found}: {strip_remedy(found)}"
        if tables := [name for name in extra if name in _TABLES]:
            return (
                f"the file is a table, which holds the weights under {tables[0]!r}: give "
                f"load_state_dict that entry, with prefixes such as 'model.' stripped"
            )
    if "Weights only load failed" in message:
        return (
            "the file holds more than tensors, and weights_only=False would run what somebody "
            "wrote into it: save model.state_dict() alone where it was made"
        )
    if "deserializing header" in message:
        return (
            "that is no safetensors file; one of torch.save is read by "
            "torch.load(path, weights_only=True)"
        )
    return None


def _quoted(message: str, what: str) -> list[str]:
    """The names that an error of `load_state_dict` lists."""
    listed = re.search(rf"{what}\(s\) in state_dict: (.*?)\. ?(?:\n|$)", message, re.DOTALL)
    return re.findall(r'"([^"]+)"', listed[1]) if listed else []
