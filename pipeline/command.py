"""What the commands share: their errors become a message on stderr and an exit status."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from pipeline.errors import DeviceError, PipelineError, UsageError

P = ParamSpec("P")


def command(function: Callable[P, None]) -> typer.Typer:
    """Makes a command line program of a function, whose signature gives the options.

    A `PipelineError` ends the program with its exit code, Ctrl-C with 130. A full disk or a path
    that cannot be used is told like a `PipelineError`, wherever it was met.
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
        except OSError as error:
            told = _told(error)
            if told is None:
                raise
            print(f"error: {told}", file=sys.stderr)
            raise typer.Exit(int(told.code)) from None

    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
    )
    app.command()(guarded)
    return app


def _told(error: OSError) -> PipelineError | None:
    """What the operating system refused, in words; None where the pipeline itself is at fault."""
    path = f"{error.filename}: " if error.filename else ""
    what = f"{path}{_PLAINER.get(error.errno or 0, error.strerror)}"
    if error.errno in _FULL:
        return DeviceError(what, "make room there, or name a folder on another disk, and run again")
    if error.errno in _REFUSED and path:
        return UsageError(what, "name a folder that can be written")
    return None


_PLAINER = {errno.EEXIST: "is there already, and no folder"}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENOENT, errno.ENAMETOOLONG),
)
