"""What the pages of this folder have in common: templates, style, script, and what they may do."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from pipeline.core.formatting import counted
from pipeline.report.render.palette import properties


def render_page(template: str, **values: object) -> str:
    """The text of a page of HTML that needs no other file and no network.

    Browsers hold it to that: its policy lets it load nothing, and run no script but its own.

    Args:
        template: the name of a file beside this module.
        values: what it shows. They are escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("pipeline.report.render", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["counted"] = counted
    script = loader.get_source(environment, "script.js")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        **values,
        script=script,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        light=properties(dark=False),
        dark=properties(dark=True),
    )
