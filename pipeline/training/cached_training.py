"""From a model and its data to a trained model, through a cache: nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.fingerprint import machine_kind
from pipeline.core.progress import Progress
from pipeline.data.images import Dataset
from pipeline.model.blocknet import BlockNet
from pipeline.model.checkpoint import load_into, load_tensors, save_tensors, whole_state
from pipeline.model.pwl import PwlModel
from pipeline.model.route import Route
from pipeline.settings import FamilyModel, SourceModel, TrainingSettings
from pipeline.training.augment import Augmentation
from pipeline.training.conditions import Conditions, Examples, TrainingRun
from pipeline.training.device_inputs import inputs_on
from pipeline.training.distill import distill
from pipeline.training.fit import reproducible, require_batch
from pipeline.training.gpu import gpu_errors, gpu_name, multiplies_bfloat16, require_usable
from pipeline.training.processes import Processes, device_for
from pipeline.training.restore import require_restorable
from pipeline.training.teacher import train_teacher
from pipeline.training.trained import Description, TrainingFiles, save_trained
from pipeline.training.training_log import TrainingLog

#: Abilities of processors, as `machine_kind` names them, that compute in bfloat16.
_BF16 = {"amx_tile", "avx512_bf16", "bf16"}


@dataclass(frozen=True, slots=True)
class Training:
    """Trains a model, or fills it from the cache.

    Attributes:
        model: the ``[model]`` table.
        table: the ``[training]`` table.
        seed: all random choices follow from it.
        dataset: what is learned from.
        files: where trained weights are kept; their folder is made when it is missing.
        progress: told losses.
        conditions: of every step, as `conditions_for` gives them; its processes train together, the
            first one alone keeps files.
    """

    model: FamilyModel | SourceModel
    table: TrainingSettings
    seed: int
    dataset: Dataset
    files: TrainingFiles
    progress: Progress
    conditions: Conditions

    def files_for(self, train_for: Sequence[Route] | None) -> TrainingFiles:
        """The files of the model that is trained for some routes, or for any (None)."""
        return self.files.trained_for(self.table.distillation, train_for)

    def train(self, model: PwlModel, train_for: Sequence[Route] | None) -> None:
        """Trains a model in place; it ends on the processor and in eval mode.

        An interrupted run goes on from its last epoch.

        Args:
            model: initialized.
            train_for: the routes to train for; None: any.

        Raises:
            UsageError: training diverged.
        """
        files = self.files_for(train_for)

        def keep() -> None:
            # Otherwise the same file serves any order: what it was made for first says nothing.
            routes = train_for if self.table.distillation.depends_on_routes else None
            description = Description.of(self.model, self.dataset, routes)
            save_trained(files.model, model, description)

        with reproducible(self.table.threads), gpu_errors(self.conditions.device):
            make = self._checked(model, partial(self._both, model, files, train_for))
            self._cached(files.model, model, make, keep)
        model.cpu().eval()

    def _both(
        self, model: PwlModel, files: TrainingFiles, train_for: Sequence[Route] | None
    ) -> None:
        """The teacher, unless it comes trained, and then its student."""
        images, labels = self.dataset.train.images, self.dataset.train.labels
        device, inputs = self.conditions.device, self.dataset.normalization.inputs(images)
        examples = Examples(inputs_on(inputs, device), torch.from_numpy(labels))
        teaching, distilling = (
            TrainingRun(
                2 * self.seed + number,
                file.with_suffix(".partial"),
                self.progress,
                self.conditions,
            )
            for number, file in enumerate((files.teacher, files.model))
        )
        self._describe_device()
        if table := self.table.teacher:

            def keep() -> None:
                save_tensors(files.teacher, whole_state(model.teacher), {})

            teach = partial(train_teacher, model.teacher, examples, table, teaching)
            self._cached(files.teacher, model.teacher, self._checked(model.teacher, teach), keep)
        distill(
            *(model, examples, train_for, self.table.distillation, distilling),
            storage=self.table.teacher_features,
        )

    def _describe_device(self) -> None:
        device, what = self.conditions.device, "this processor"
        if device.type == "cuda":
            what = gpu_name(device)
            self.progress.say(f"training on {what}")
            pays = multiplies_bfloat16(device)
        else:
            pays = bool(_BF16 & {*machine_kind().split()})
        if self.table.precision == "bf16" and not pays:
            self.progress.say(f'precision = "bf16" hardly pays: {what} has no bfloat16 arithmetic')

    def _checked(self, module: BlockNet | PwlModel, make: Callable[[], None]) -> Callable[[], None]:
        """What trains a module of the user's, and then makes sure that a checkpoint will do."""
        if not isinstance(self.model, SourceModel):
            return make
        source = self.model.source

        def checked() -> None:
            initial = deepcopy(module)
            make()
            require_restorable(module, initial, self.dataset.image_shape, source)

        return checked

    def _cached(
        self, file: Path, module: nn.Module, make: Callable[[], None], keep: Callable[[], None]
    ) -> None:
        """Fills `module` from `file`, or by `make`; `keep` then writes it to `file`."""
        processes = self.conditions.processes
        if processes.agree(file.exists(), self.conditions.device):
            try:
                load_into(module, load_tensors(file)[0], file)
            except IntegrityError as error:
                self.progress.say(f"{error.what}; training again")
            else:
                return
        make()
        if processes.first:
            keep()


def conditions_for(
    table: TrainingSettings, dataset: Dataset, training_log: TrainingLog, processes: Processes
) -> Conditions:
    """The conditions that a ``[training]`` table asks for.

    Raises:
        UsageError: the table and the data do not fit together.
    """
    for phase in (table.teacher, table.distillation):
        if phase is not None:
            require_batch(phase, len(dataset.train), processes)
    augmentation = None
    if not table.augmentation.changes_nothing:
        dataset.require_images("[training.augmentation]")
        crop, (_, *size) = table.augmentation.crop, dataset.image_shape
        if crop >= min(size):
            raise UsageError(
                f"training.augmentation.crop = {crop} can move images of {size[1]}x{size[0]} "
                "pixels out of sight",
                f"make it {min(size) - 1} or less",
            )
        if dataset.map_size not in ((), tuple(size)):
            height, width = dataset.map_size
            raise UsageError(
                f"training.augmentation changes images of {size[1]}x{size[0]} pixels, and their "
                f"label maps of {width}x{height} with them",
                "give label maps of the images' size, or leave [training.augmentation] out",
            )
        augmentation = Augmentation.of(table.augmentation, dataset.normalization)
    device = device_for(table.device)
    require_usable(device)
    return Conditions(augmentation, table.precision, device, processes, training_log)
