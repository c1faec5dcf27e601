"""How an app gets the bundle: as asset packs of Google Play, or with its own assets."""

from __future__ import annotations

from typing import Annotated, Literal

from pipeline.core.toml_file import Section, TextPattern

Delivery = Literal["fast-follow", "on-demand", "install-time", "base"]


class AndroidSettings(Section):
    """What `pipeline.build --android` writes; the bundle itself does not depend on it.

    Attributes:
        name: of the folder below ``assets/``, and what the names of the packs begin with. Two
            models in one app need two names.
        delivery: when the stages after the student arrive: ``fast-follow`` right after the
            installation, ``on-demand`` when the app asks for them, ``install-time`` with the app.
            With ``base`` there are no packs: all files are assets of the app itself.
        packs: one for all stages after the student, or one for each of them.
    """

    name: Annotated[
        str,
        TextPattern(
            r"^[a-z][a-z0-9_]{0,31}$",
            "lower-case letters, digits and '_', the first one a letter, 32 at most",
        ),
    ] = "pwl"
    delivery: Delivery = "fast-follow"
    packs: Literal["teacher", "stages"] = "teacher"
