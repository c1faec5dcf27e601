"""What the reference implementation calls every tensor, family by family. Free of torch.

    swapnet.{teacher,student}.{resnet,vgg,vit}.{embedder,blocks}...
    swapnet.{teacher,student}.classifier...
    swapnet.{encoders,decoders}.i.linear.{weight,bias}

The layers of ViT are Hugging Face's, which transformers 5 renamed: both layouts are known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pipeline.ingest.reference.checkpoint_family import ROOT

#: Of tensors by key.
Shapes = Mapping[str, tuple[int, ...]]

_VIT_HEAD = re.compile(r"(classifier(?:\.[0-9]+)?)\.weight")
_INDEX = "([0-9]{1,6})"

#: Where a layer's number stands, after the block's.
_LAYER = {
    "resnet": re.compile(rf"blocks\.{_INDEX}\.0\.layers\.{_INDEX}\."),
    "vgg": re.compile(rf"blocks\.{_INDEX}\.0\.{_INDEX}\."),
    "vit": re.compile(rf"blocks\.{_INDEX}\.{_INDEX}\.module\."),
}

_LEAVES = ("weight", "bias")
_VGG_STEPS = 3  # convolution, normalization and ReLU, one after the other

#: This project's names of the parts of a layer, and theirs.
_RESNET_LAYER = {
    "first.conv": "layer.0.convolution",
    "first.norm": "layer.0.normalization",
    "second.conv": "layer.1.convolution",
    "second.norm": "layer.1.normalization",
    "shortcut.conv": "shortcut.convolution",
    "shortcut.norm": "shortcut.normalization",
}
_VIT_LAYER_4 = {
    "first_norm": "layernorm_before",
    "attention.query": "attention.attention.query",
    "attention.key": "attention.attention.key",
    "attention.value": "attention.attention.value",
    "attention.output": "attention.output.dense",
    "second_norm": "layernorm_after",
    "expand": "intermediate.dense",
    "reduce": "output.dense",
}
_VIT_LAYER_5 = {
    "first_norm": "layernorm_before",
    "attention.query": "attention.q_proj",
    "attention.key": "attention.k_proj",
    "attention.value": "attention.v_proj",
    "attention.output": "attention.o_proj",
    "second_norm": "layernorm_after",
    "expand": "mlp.fc1",
    "reduce": "mlp.fc2",
}
_EMBEDDER = {
    "conv": "embedder.convolution",
    "norm": "embedder.normalization",
    "projection": "patch_embeddings.projection",
    "class_token": "cls_token",
    "positions": "position_embeddings",
}


@dataclass(frozen=True, slots=True)
class NetworkKeys:
    """The keys of one of the two networks.

    Attributes:
        role: ``teacher`` or ``student``.
        family: ``resnet``, ``vgg`` or ``vit``.
        shapes: of all tensors of the checkpoint, by key.
    """

    role: str
    family: str
    shapes: Shapes

    def depths(self) -> tuple[int, ...]:
        """How many layers (convolutions, in VGG) there are tensors of, by block.

        Where some are missing, the numbers of the others tell. There are never more layers in all
        than tensors, whatever the keys say, but for one in each block without any.
        """
        grouped = self._grouped()
        if dead := self._dead_norm(grouped):
            last = grouped[max(grouped)]
            last = {layer: keys for layer, keys in last.items() if keys != dead}
            grouped[max(grouped)] = last
        depths = []
        for block in range(_reach(grouped, len(self.shapes))):
            layers = grouped.get(block, {})
            depths.append(_reach(layers, sum(map(len, layers.values()))) or 1)
        return tuple(depths)

    def widths(self) -> tuple[int, ...]:
        """The channels of each block of a VGG, in which all convolutions have the same."""
        grouped = self._grouped()
        return tuple(
            next(
                (
                    self.shapes[key][0]
                    for keys in grouped.get(block, {}).values()
                    for key in keys
                    if self.shapes[key]
                ),
                1,
            )
            for block in range(_reach(grouped, len(self.shapes)))
        )

    def image_channels(self) -> int:
        """The channels of the images that a VGG takes; 0 where its first weights are missing."""
        shape = self.shapes.get(self._full("blocks.0.0.0.weight"), ())
        return shape[1] if len(shape) == 4 else 0

    def positions(self) -> str:
        """The key of a ViT's positions, ``[1, tokens, width]``."""
        return self._full(f"embedder.{_EMBEDDER['positions']}")

    def pooler(self) -> tuple[str, ...]:
        """The keys of the weights that the reference implementation never applies.

        The last block of a ViT ends in a pooler, which holds a layer normalization but returns
        token 0 as it is: applying it would give other logits. It may have any names there; where
        there is none, these are the ones to expect.
        """
        if self.family != "vit":
            return ()
        if found := self._dead_norm(self._grouped()):
            start = found[0].rpartition(".")[0]
        else:
            depths = self.depths()
            start = self._full(f"blocks.{len(depths) - 1}.{depths[-1] if depths else 0}.module")
        return tuple(f"{start}.{leaf}" for leaf in _LEAVES)

    def keys(self, names: Iterable[str]) -> dict[str, str]:
        """The keys of some tensors of this network, by name.

        Args:
            names: of the tensors in a `BlockNet` of this family.
        """
        classifier = self._classifier()
        parts = self._parts()
        return {name: self._key(name, classifier, parts) for name in names}

    def _key(self, name: str, classifier: str, parts: Mapping[str, str]) -> str:
        match name.split("."):
            case ["classifier", _, leaf]:
                return f"{ROOT}.{self.role}.{classifier}.{leaf}"
            case ["embedder", parameter]:
                return self._full(f"embedder.{_EMBEDDER[parameter]}")
            case ["embedder", *_, part, leaf]:
                return self._full(f"embedder.{_EMBEDDER[part]}.{leaf}")
            case ["blocks", block, layer, *path, leaf]:
                place = self._layer(int(layer), ".".join(path), parts)
                return self._full(f"blocks.{block}.{place}.{leaf}")
        raise ValueError(name)

    def _layer(self, layer: int, part: str, parts: Mapping[str, str]) -> str:
        match self.family:
            case "resnet":
                return f"0.layers.{layer}.{parts[part]}"
            case "vgg":
                return f"0.{_VGG_STEPS * layer + (part == 'norm')}"
            case _:
                return f"{layer}.module.{parts[part]}"

    def _parts(self) -> Mapping[str, str]:
        match self.family:
            case "resnet":
                return _RESNET_LAYER
            case "vgg":
                return {}
            case _:
                body = self._body()
                counts = [
                    sum(f".module.{layer['attention.query']}." in key for key in body)
                    for layer in (_VIT_LAYER_4, _VIT_LAYER_5)
                ]
                return _VIT_LAYER_4 if counts[0] > counts[1] else _VIT_LAYER_5

    def _classifier(self) -> str:
        if self.family != "vit":
            return "classifier.2"  # behind a pooling and a flattening
        start = f"{ROOT}.{self.role}."
        found = [match[1] for key in self.shapes if (match := _VIT_HEAD.fullmatch(key, len(start)))]
        return found[0] if len(found) == 1 else "classifier"

    def _grouped(self) -> dict[int, dict[int, list[str]]]:
        """The keys of the blocks, by block and layer."""
        found: dict[int, dict[int, list[str]]] = {}
        for rest in self._body():
            if match := _LAYER[self.family].match(rest):
                block, layer = int(match[1]), int(match[2])
                if self.family == "vgg":
                    layer //= _VGG_STEPS
                found.setdefault(block, {}).setdefault(layer, []).append(self._full(rest))
        return found

    def _dead_norm(self, grouped: Mapping[int, Mapping[int, list[str]]]) -> list[str]:
        if self.family != "vit" or not grouped:
            return []
        last = grouped[max(grouped)]
        keys = last[max(last)]
        homes, leaves = zip(*(key.rsplit(".", 1) for key in keys), strict=True)
        is_norm = set(leaves) <= set(_LEAVES) and len(set(homes)) == 1
        return keys if is_norm and all(len(self.shapes[key]) == 1 for key in keys) else []

    def _body(self) -> list[str]:
        """The keys of embedder and blocks, without what they all begin with."""
        start = self._full("")
        return [key.removeprefix(start) for key in self.shapes if key.startswith(start)]

    def _full(self, key: str) -> str:
        return f"{ROOT}.{self.role}.{self.family}.{key}"


def _reach(numbers: Collection[int], bound: int) -> int:
    """One more than the highest of some numbers; if that is above the bound, how many there are."""
    highest = max(numbers, default=-1) + 1
    return highest if highest <= bound else len(numbers)


def last_converters(
    shapes: Shapes, blocks: int, teacher_width: int, student_width: int
) -> tuple[str, ...]:
    """The keys of a pair of converters behind the last block, if there is one: no route takes them.

    Args:
        shapes: of all tensors of the checkpoint, by key.
        blocks: their number.
        teacher_width: of the features behind the teacher's last block.
        student_width: of those behind the student's.
    """
    found: list[str] = []
    for direction, source, target in (
        ("encoders", teacher_width, student_width),
        ("decoders", student_width, teacher_width),
    ):
        weight, bias = (converter_key(f"{direction}.{blocks - 1}.{leaf}") for leaf in _LEAVES)
        if shapes.get(bias) != (target,) or shapes.get(weight, ())[:2] != (target, source):
            return ()
        found += [bias, weight]
    return tuple(found) if teacher_width != student_width else ()


def converter_key(name: str) -> str:
    """The key of a converter's tensor.

    Args:
        name: such as ``encoders.0.weight``.
    """
    direction, boundary, leaf = name.split(".")
    return f"{ROOT}.{direction}.{boundary}.linear.{leaf}"
