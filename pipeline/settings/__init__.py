"""Profiles: the typed TOML files that say what to build, a module a table."""

from pipeline.settings.android import AndroidSettings
from pipeline.settings.arm import PROGRESSIVE, ArmSettings
from pipeline.settings.backend import BACKENDS, BackendName, BackendSpec, RuntimeLibrary
from pipeline.settings.data import (
    DataSettings,
    DigitsData,
    EncodedData,
    FolderData,
    HuggingFaceData,
    IdxData,
    ImageData,
    ParquetData,
)
from pipeline.settings.model import (
    FamilyModel,
    ModelSettings,
    ResNetModel,
    ResNetSettings,
    VggModel,
    VggSettings,
    VitModel,
    VitSettings,
)
from pipeline.settings.normalization import NormalizationSettings
from pipeline.settings.precision import (
    AUTO,
    PLAIN,
    RECIPES,
    Plan,
    Precision,
    PrecisionSettings,
    Recipe,
    allowed_precisions,
    chain_precision,
)
from pipeline.settings.profile import (
    BundleSettings,
    LoweringSettings,
    RuntimeSettings,
    Settings,
    backend_named,
    for_backend,
    for_backends,
    load_settings,
    with_precision,
)
from pipeline.settings.quantities import (
    Count,
)
from pipeline.settings.schedule import OrderName, ScheduleSettings
from pipeline.settings.source import SOURCE_KINDS, SourceModel
from pipeline.settings.training import (
    AugmentationSettings,
    Distillation,
    JointDistillation,
    OptimizerSettings,
    ReferenceDistillation,
    TeacherSettings,
    TrainingSettings,
)

__all__ = [
    "AUTO",
    "BACKENDS",
    "PLAIN",
    "PROGRESSIVE",
    "RECIPES",
    "SOURCE_KINDS",
    "AndroidSettings",
    "ArmSettings",
    "AugmentationSettings",
    "BackendName",
    "BackendSpec",
    "BundleSettings",
    "Count",
    "DataSettings",
    "DigitsData",
    "Distillation",
    "EncodedData",
    "FamilyModel",
    "FolderData",
    "HuggingFaceData",
    "IdxData",
    "ImageData",
    "JointDistillation",
    "LoweringSettings",
    "ModelSettings",
    "NormalizationSettings",
    "OptimizerSettings",
    "OrderName",
    "ParquetData",
    "Plan",
    "Precision",
    "PrecisionSettings",
    "Recipe",
    "ReferenceDistillation",
    "ResNetModel",
    "ResNetSettings",
    "RuntimeLibrary",
    "RuntimeSettings",
    "ScheduleSettings",
    "Settings",
    "SourceModel",
    "TeacherSettings",
    "TrainingSettings",
    "VggModel",
    "VggSettings",
    "VitModel",
    "VitSettings",
    "allowed_precisions",
    "backend_named",
    "chain_precision",
    "for_backend",
    "for_backends",
    "load_settings",
    "with_precision",
]
