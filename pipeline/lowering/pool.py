"""Worker processes, and what becomes of the work when one of them dies."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipeline.core.children import end_with
from pipeline.core.errors import DeviceError, UsageError

Result = TypeVar("Result")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def in_processes(
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    jobs: int,
    received: Callable[[Result], None],
) -> None:
    """Calls a function in worker processes; one job alone runs in this process.

    Args:
        function: of a module that another process can import.
        calls: its arguments, a tuple each, which travel to the workers.
        jobs: how many workers there are at most.
        received: given every result, in the order in which they are ready.

    Raises:
        PipelineError: as the function raises it; the other calls end.
        DeviceError: a worker died.
        UsageError: some arguments cannot travel.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

    workers = max(1, min(jobs, len(calls)))
    dying = {"initializer": end_with, "initargs": (os.getpid(),)} if workers > 1 else {}
    parallel = Parallel(n_jobs=workers, return_as="generator_unordered", **dying)
    with warnings.catch_warnings():
        # Exporters grow; joblib then replaces a worker between two jobs, and warns of it.
        warnings.filterwarnings("ignore", "A worker stopped", UserWarning)
        try:
            for result in parallel(delayed(function)(*arguments) for arguments in calls):
                received(result)
        except TerminatedWorkerError as error:
            how = re.search(r"SIG[A-Z]+|EXIT\(\d+\)", str(error))
            raise DeviceError(
                f"a worker process died{f' ({how[0]})' if how else ''}; what was finished is kept",
                "if memory ran out, close other programs or use --jobs 1; then run again",
            ) from error
        except BrokenProcessPool as error:
            raise UsageError(
                f"a part of the model cannot be sent to a worker process: {error.__cause__}",
                "let it hold nothing but tensors, numbers and modules, or use --jobs 1",
            ) from error
