"""Networks that read tokens, as programs give them: a program's edges are float32.

Whole numbers up to 2**24 are exact there. A network's own code takes them as the integers that it
was written for, and whatever a program is given, it looks up a token that there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.ingest.inner_network import InnerNetwork
from pipeline.ingest.own_parts import has_parts
from pipeline.ingest.python import OwnModel


class Tokens(nn.Module):
    """Floats as the tokens that they are, int64; what is none becomes the first or the last one.

    Args:
        vocabulary: how many tokens there are.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.last = vocabulary - 1

    def forward(self, values: Tensor) -> Tensor:
        """Tokens of values ``[n, ...]``."""
        return values.clamp(0, self.last).to(torch.int64)


class TokenEmbedder(nn.Module):
    """An embedder of tokens that reads floats."""

    def __init__(self, embedder: nn.Module, vocabulary: int) -> None:
        super().__init__()
        self.tokens = Tokens(vocabulary)
        self.module = embedder
        self.training = embedder.training

    def forward(self, values: Tensor) -> Tensor:
        """Features of values ``[n, ...]``."""
        features: Tensor = self.module(self.tokens(values))
        return features


class TokenNetwork(InnerNetwork):
    """A network of tokens that reads floats.

    Args:
        network: the user's.
        vocabulary: how many tokens there are.
    """

    def __init__(self, network: nn.Module, vocabulary: int) -> None:
        super().__init__(network)
        if has_parts(network):
            self.embedder = TokenEmbedder(network.get_submodule("embedder"), vocabulary)
        self._tokens = [Tokens(vocabulary)]
        #: What errors and tables call it.
        self.user_class = type(network).__name__

    def forward(self, values: Tensor) -> Tensor:
        """Logits ``[n, classes]`` of tokens ``[n, ...]`` as floats."""
        logits: Tensor = self.run_inner(self._tokens[0].forward(values))
        return logits


@dataclass(frozen=True, slots=True)
class _Parts:
    """Parts of a network that is no module."""

    embedder: nn.Module
    blocks: Any
    classifier: Any


def reading_tokens(network: Any, vocabulary: int | None) -> Any:
    """A network that reads tokens as floats; itself where it reads none.

    Args:
        network: as a user's function gives it.
        vocabulary: how many tokens there are, if it reads any.
    """
    if vocabulary is None or network is None:
        return network
    if isinstance(network, nn.Module):
        return TokenNetwork(network, vocabulary)
    if has_parts(network) and isinstance(network.embedder, nn.Module):
        embedder = TokenEmbedder(network.embedder, vocabulary)
        return _Parts(embedder, network.blocks, network.classifier)
    return network


def vocabulary_of(network: nn.Module, used: int) -> int:
    """How many tokens a network knows that says nothing of it: as many as its smallest table has.

    Args:
        network: as a user's function gives it alone.
        used: how many the data has. Tables of fewer are of something else, unless all of them are:
            then the largest counts. A network without tables knows them all.
    """
    rows = [each.num_embeddings for each in network.modules() if isinstance(each, nn.Embedding)]
    return min((count for count in rows if count >= used), default=max(rows, default=used))


def require_vocabulary(source: str, model: int | None, data: int | None) -> None:
    """Makes sure that a model knows the tokens of some data.

    Args:
        source: how errors call the user's function.
        model: how many tokens it knows; None if it reads none.
        data: how many there are; None if these are none.

    Raises:
        UsageError: one of the two has tokens alone, or the data has more.
    """
    if model is None and data is not None:
        raise UsageError(
            f"{source}: the data holds tokens, and the model says nothing of a vocabulary",
            f"give OwnModel(..., vocabulary={data}), and embeddings of as many",
        )
    if model is not None and data is None:
        raise UsageError(
            f"{source} reads tokens, and the data holds none",
            "give tokens as int64 in the .npz file, or leave out vocabulary in OwnModel",
        )
    if model is not None and data is not None and data > model:
        raise UsageError(
            f"{source} knows {model} tokens, the data has {data}",
            "make vocabulary and embeddings larger, or correct the tokens",
        )


def model_of_tokens(source: str, given: OwnModel) -> OwnModel:
    """What a user's function gives, its networks reading tokens as floats if they read any.

    Args:
        source: how errors call the function.
        given: by it.

    Raises:
        UsageError: its vocabulary is no number of tokens.
    """
    count = given.vocabulary
    if count is None:
        return given
    if type(count) is not int or not 1 <= count <= 2**24:
        raise UsageError(
            f"{source}: vocabulary is {count!r}",
            "give the number of different tokens, 2**24 at most, or None where inputs are none",
        )
    teacher, student = (reading_tokens(each, count) for each in (given.teacher, given.student))
    return replace(given, teacher=teacher, student=student)
