from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.model.blocknet import BlockNet
from pipeline.workflows.measured_choice import key_of_network


class Threads(nn.Module):
    """Answers with the number of threads that torch computes with."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * torch.get_num_threads()


def test_a_choice_is_found_again_whatever_number_of_threads_torch_has() -> None:
    network = BlockNet(nn.Identity(), nn.ModuleList([Threads()]), nn.Identity()).eval()
    before, keys = torch.get_num_threads(), set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            keys.add(key_of_network("network", network, (1, 8, 8), [], []))
    finally:
        torch.set_num_threads(before)
    assert len(keys) == 1
