"""What the commands share: their errors become a message on stderr and an exit status."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from pipeline.errors import PipelineError

P = ParamSpec("P")


def command(function: Callable[P, None]) -> typer.Typer:
    """Makes a command line program of a function, whose signature gives the options.

    A `PipelineError` ends the program with its exit code, Ctrl-C with 130.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except PipelineError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(int(error.code)) from None
        except KeyboardInterrupt:
            print("interrupted; what is finished is kept", file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output left (`| head`): not an error, and nothing more to print.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )
    app.command()(guarded)
    return app
