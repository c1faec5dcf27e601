"""The text files around the assets: what Gradle reads, and what a person pastes into an app."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.bundle.asset_packs import AssetPack
from pipeline.core.formatting import size

#: Stored as they are, so that they can be mapped where they lie in the APK.
UNCOMPRESSED = ("pte", "tflite", "plan")


def pack_script(pack: AssetPack) -> str:
    """build.gradle.kts of an asset pack's module."""
    return f"""\
plugins {{
    id("com.android.asset-pack")
}}

assetPack {{
    packName.set("{pack.name}")
    dynamicDelivery {{
        deliveryType.set("{pack.delivery}")
    }}
}}
"""


def settings_lines(packs: Sequence[AssetPack]) -> str:
    """What the app's settings.gradle.kts says, for a tree in a folder of the root project."""
    names = ", ".join(f'"{pack.name}"' for pack in packs)
    return (
        f'listOf({names}).forEach {{ include(":$it"); '
        f'project(":$it").projectDir = file("{_PLACE}/$it") }}'
    )


def app_lines(packs: Sequence[AssetPack]) -> str:
    """What the ``android`` block of the app's build.gradle.kts says."""
    suffixes = ", ".join(f'"{suffix}"' for suffix in UNCOMPRESSED)
    lines = [f"androidResources {{ noCompress += listOf({suffixes}) }}"]
    if packs[0].delivery == "base":
        assets = f'rootProject.file("{_PLACE}/assets")'
        lines.insert(0, f'sourceSets {{ getByName("main") {{ assets.srcDir({assets}) }} }}')
    else:
        names = ", ".join(f'":{pack.name}"' for pack in packs)
        lines.insert(0, f"assetPacks += listOf({names})")
    return "\n".join(lines)


#: Where a README assumes the tree to be.
_PLACE = "pwl-assets"


def readme(name: str, folder: str, packs: Sequence[AssetPack], sizes: dict[str, int]) -> str:
    """README.md of the tree.

    Args:
        name: of the bundle.
        folder: below ``assets/``.
        packs: in the order in which they are needed.
        sizes: bytes of the assets of each pack.
    """
    base = packs[0].delivery == "base"
    parts = [f"# {name} for an Android app", _ORIGIN, "| pack | arrives | bytes | needed from |"]
    parts[-1] += "\n|---|---|---|---|"
    for pack in packs:
        where = "with the app itself" if base else pack.delivery
        parts[-1] += f"\n| {pack.name} | {where} | {size(sizes[pack.name])} | stage {pack.stage} |"
    parts.append(f"With this folder as `{_PLACE}` beside the app's settings.gradle.kts:")
    if not base:
        parts.append(f"In settings.gradle.kts:\n\n```kotlin\n{settings_lines(packs)}\n```")
    parts.append(
        f"In the `android` block of the app's build.gradle.kts:\n\n```kotlin\n{app_lines(packs)}"
        "\n```"
    )
    parts.append(
        f"In the app (`dev.pwl`, see docs/app.md):\n\n```kotlin\n"
        f'val model = openFromAssets(context, "{folder}")\n```'
    )
    if late := [pack for pack in packs[1:] if pack.delivery in ("fast-follow", "on-demand")]:
        names = ", ".join(f"`{pack.name}`" for pack in late)
        parts.append(
            f"The student answers from the first start on. When Play says that {names} has "
            "arrived (`AssetPackManager.registerListener`, of "
            "`com.google.android.play:asset-delivery`): "
            f'`model.addFolder(File(location.assetsPath(), "{folder}"))`, and loading goes on. '
            "Those that are there at a later start are the `folders` of `openFromAssets`."
        )
    return "\n\n".join(parts) + "\n"


_ORIGIN = (
    "Written by `python -m pipeline.build PROFILE --android`, which replaces it as a whole: change "
    "nothing here. `packs.json` says the same for programs; `sha256sum --check SHA256SUMS` checks "
    "every file."
)
