"""What the commands share: ``--version``, and how a command ends.

No command ends with exit status 1 unless it judged something: CI reads 1 as a regression.
"""

from __future__ import annotations

import atexit
import errno
import functools
import gc
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec, get_type_hints

from pipeline.core.errors import DeviceError, ExitCode, PipelineError, UsageError
from pipeline.core.stop_signals import exit_status, stoppable, word_for

try:
    import typer
    from typer.core import TyperCommand
except ModuleNotFoundError as error:
    # The Python of the system, say: the traceback would end with status 1, a regression.
    print(
        f"error: the package {error.name} is not installed for {sys.executable}\n"
        "  remedy: run the Python of the environment (.venv/bin/python), or pip install -e . there",
        file=sys.stderr,
    )
    raise SystemExit(int(ExitCode.USAGE)) from None

#: What the commands need of typer. They take it from here, where a missing one is told.
Argument, Exit, Option = typer.Argument, typer.Exit, typer.Option

P = ParamSpec("P")


def command(function: Callable[P, None]) -> typer.Typer:
    """Makes a command line program of a function, whose signature gives the options.

    A `PipelineError` ends the program with its exit code, Ctrl-C with 130, SIGTERM with 143. A full
    disk, a path that cannot be used or a name that is not UTF-8 is told like a `PipelineError`,
    wherever it was met. Anything else is a fault of the pipeline: it ends with the exit code of the
    infrastructure, after its traceback.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        kwargs.pop("version", None)
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:
            _drop_output()
        except KeyboardInterrupt as stop:
            print(f"{word_for(stop)}; what is finished is kept", file=sys.stderr)
            raise typer.Exit(exit_status(stop)) from None
        except BaseException as error:
            raise typer.Exit(_print_error(error)) from None

    signature = _signature(function)
    vars(guarded)["__signature__"] = signature
    guarded.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    # Plain help: with the boxes of rich, most of the time of --help went into importing it.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(cls=_Program, context_settings={"max_content_width": 100})(guarded)
    return app


class _Program(TyperCommand):
    """A command together with the reading of its words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # What `--out "$OUT"` gives where OUT is not set would be read as the current folder.
        for word in args:
            if not word or (word.startswith("--") and word.endswith("=")):
                raise UsageError(
                    f"an empty word among those of the command{f', {word}' if word else ''}",
                    "give a value; where a variable was to give it, see that it is set",
                )
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # The system takes back all memory at once: no need to look for garbage in it before.
        atexit.register(gc.freeze)
        with _any_name_printable(), stoppable():
            try:
                return super().main(*args, **kwargs)
            except SystemExit as end:
                # An exit that the command chose, or one of the option parser's own inventions.
                if end.code == 1 and not isinstance(end.__context__, typer.Exit):
                    raise SystemExit(int(ExitCode.DEVICE)) from None
                raise
            except BrokenPipeError:
                _drop_output()
                return None
            except Exception as error:
                raise SystemExit(_print_error(error)) from None


@contextmanager
def _any_name_printable() -> Iterator[None]:
    """Lets the standard streams print names that are not UTF-8, or that a terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    yield


def _signature(function: Callable[..., None]) -> inspect.Signature:
    """The signature of a function with its annotations read, and the option ``--version``."""
    hints = get_type_hints(function, include_extras=True)
    parameters = [
        parameter.replace(annotation=hints.get(parameter.name, parameter.annotation))
        for parameter in inspect.signature(function).parameters.values()
    ]
    version = inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Version
    )
    return inspect.Signature([*parameters, version])


def _print_version(asked: bool) -> None:
    if asked:
        from pipeline.core.release import description

        print(description())
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print release, checkout and commit.",
        callback=_print_version,
        is_eager=True,
    ),
]


def _drop_output() -> None:
    """The reader of our output left (`| head`): not an error, and nothing more to print."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(error: BaseException) -> int:
    """Says on stderr why the program ends; gives the exit status."""
    shown = as_pipeline_error(error)
    print(f"error: {shown}", file=sys.stderr)
    return int(shown.code)


def as_pipeline_error(error: BaseException) -> PipelineError:
    """What ended a piece of work, in words; the traceback of a fault is printed on stderr."""
    shown = error if isinstance(error, PipelineError) else _in_words(error)
    if shown is not None:
        return shown
    import traceback

    from pipeline.core.release import description

    traceback.print_exception(error)
    where = description().replace("\n", ", ")
    return DeviceError(
        f"a fault of the pipeline itself ({type(error).__name__}), {where}",
        "please report the lines above, with the command and its files",
    )


def _in_words(error: BaseException) -> PipelineError | None:
    """What a machine or its user did, in words; None where the pipeline itself is at fault."""
    if isinstance(error, OSError):
        return _system_in_words(error)
    if isinstance(error, SystemExit):
        return UsageError(
            f"code that is not the pipeline's ended the program (sys.exit({error.code!r}))",
            "let the function that the profile names return instead",
        )
    if isinstance(error, UnicodeError) or "surrogates not allowed" in str(error):
        return _text_in_words(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return DeviceError(
            "this machine's memory is used up",
            "end other programs, give fewer --jobs, or take a machine with more memory",
        )
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("pipeline"):
        return UsageError(
            f"the package {error.name} is not installed for {sys.executable}",
            "run the Python of the environment (.venv/bin/python), or pip install -e . there",
        )
    return None


def _text_in_words(error: BaseException) -> PipelineError:
    found = getattr(error, "object", error)  # of a UnicodeError: the text or bytes
    data = found if isinstance(found, bytes) else str(found).encode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "backslashreplace")
    return UsageError(
        f"a name or text that is not UTF-8: {text if len(text) <= 200 else text[:200] + '...'}",
        "rename the file or folder in question, or write its text as UTF-8",
    )


def _system_in_words(error: OSError) -> PipelineError | None:
    """What the operating system refused."""
    # Where a copy fails, the second name is the one that was written.
    name = error.filename2 or error.filename
    path = f"{os.fsdecode(name) if isinstance(name, bytes) else name}: " if name else ""
    what = f"{path}{_PLAINER.get(error.errno or 0, error.strerror)}"
    if _is_program_start(error):
        return UsageError(
            f"the program {error.filename} cannot be started: {error.strerror}",
            "install it, or have PATH name the folder that it is in",
        )
    if error.errno in _FULL:
        return DeviceError(what, "make room there, or name a folder on another disk, and run again")
    if error.errno in _EXHAUSTED:
        return DeviceError(what, "end other programs, or raise the limit (ulimit -a shows them)")
    if error.errno in _BROKEN:
        return DeviceError(what, "see whether that disk is sound (dmesg tells), or name another")
    if error.errno == errno.ENOENT and path:
        return UsageError(what, "see whether it is still there; what is written needs a folder")
    if error.errno in _REFUSED and path:
        return UsageError(what, "name a folder that can be written")
    return None


def _is_program_start(error: OSError) -> bool:
    import subprocess

    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "_execute_child" and code.co_filename == subprocess.__file__:
            return True
        trace = trace.tb_next
    return False


_PLAINER = {
    errno.EEXIST: "is there already, and no folder",
    errno.ENAMETOOLONG: "the name is longer than the file system takes",
    errno.ELOOP: "symbolic links that lead in a circle",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_BROKEN = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO)
_REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY, errno.EINVAL),
)
