"""Runs tasks of the deployed harness and turns its lines into samples."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Sequence
from copy import copy
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.core.errors import DeviceError, IntegrityError
from pipeline.core.toml_file import Section
from pipeline.device.base import (
    Completed,
    Device,
    DeviceGoneError,
    DeviceTimeoutError,
    OutputLimitError,
)
from pipeline.harness.harness_remedies import (
    CRASHED,
    ENDINGS,
    FAILED,
    INTEGRITY,
    NOT_FINITE,
    PRINTING,
    THIS_RELEASE,
)
from pipeline.harness.memory_sample import MemorySample
from pipeline.harness.placement import Deployment
from pipeline.harness.samples import (
    Dropping,
    Info,
    Installed,
    LatencySample,
    Logits,
    Predictions,
    ProgressSample,
    State,
    TtfiSample,
)

S = TypeVar("S", bound=Section)
Line = dict[str, Any]


class NotColdError(DeviceError):
    """The device keeps files in memory, so that no cold start can be measured."""


class HarnessSession:
    """The harness on a device.

    Args:
        device: where it runs.
        deployment: what was deployed there.
        deadline_s: how long a single task may take.
        cores: those that it shall run on; none: wherever the system puts it.
        dropping: how files leave the page cache before a cold start.
    """

    def __init__(
        self,
        device: Device,
        deployment: Deployment,
        deadline_s: float = 300.0,
        *,
        cores: Sequence[int] = (),
        dropping: Dropping = "eviction",
    ) -> None:
        self._device = device
        self.deployment = deployment
        self._deadline_s = deadline_s
        self._pinned = ["--cores", ",".join(map(str, cores))] if cores else []
        self.dropping: Dropping = dropping

    def info(self) -> Info:
        """What the harness is."""
        return self._one(self.run("info"), "info", Info)

    def ttfi(self, arm: str, state: State, inferences: int) -> TtfiSample:
        """One cold or warm start of an arm, and some inferences after the first."""
        flags = [*self._state(state), "--arm", arm, "--inferences", str(inferences)]
        return self._one(self.run("ttfi", *flags), "ttfi", TtfiSample)

    def progress(
        self, state: State, inferences: int, hold: int = 0, fps: int = 0
    ) -> ProgressSample:
        """One start that goes through all stages, and some inferences after the last swap."""
        flags = [*self._state(state), "--inferences", str(inferences), "--hold", str(hold)]
        flags += ["--fps", str(fps)] if fps else []
        lines = self.run("progress", *flags)
        head = dict(self._lines(lines, "progress")[0])
        head["loads"] = tuple(self._lines(lines, "stage"))
        head["inferences"] = self._lines(lines, "inferences")[0]
        return self._typed(head, ProgressSample)

    def two_step(self, state: State, inferences: int) -> ProgressSample:
        """One start that loads the student, then the whole teacher, and some inferences after it.

        Deployments that have both of them can be asked for it.
        """
        other = copy(self)
        assert self.deployment.two_step is not None
        other.deployment = self.deployment.two_step
        return other.progress(state, inferences)

    def memory(self, arm: str) -> MemorySample:
        """What the resident memory of an arm is made of, step by step."""
        steps = tuple(self._lines(self.run("memory", "--arm", arm), "memory"))
        return self._typed({"arm": arm, "steps": steps}, MemorySample)

    def install(self) -> None:
        """Installs the bundle and its control arms as an app does: weight caches are built.

        Raises:
            DeviceError: a program is left without one; and as for `run`.
        """
        lines = self._lines(self.run("install", *self.deployment.caching), "installed")
        found = [self._typed(line, Installed) for line in lines]
        without = sum(one.without for one in found)
        if without:
            programs = without + sum(one.built + one.there for one in found)
            raise DeviceError(
                f"{without} of {programs} programs have no weight cache on {self._device.spec}: "
                "its storage is short of room, or they have no weights that could be packed",
                "make room there, or measure without the start state cold-cached",
            )

    def latency(self, rounds: int) -> list[LatencySample]:
        """Steady latencies of all stages and control arms, taken in turns."""
        lines = self.run("latency", "--inferences", str(rounds))
        return [self._typed(line, LatencySample) for line in self._lines(lines, "latency")]

    def accuracy(self, images: int = 0) -> list[Predictions]:
        """What every stage says about the evaluation images, `NO_LABEL` included.

        Args:
            images: so many of them, the first ones; 0 for all.
        """
        return self.judged("predictions", Predictions, images)

    def judged(self, event: str, kind: type[S], images: int = 0) -> list[S]:
        """As `accuracy`; the lines of bundles whose answers are no labels are others."""
        done = self.run("accuracy", "--inferences", str(images), tolerated=NOT_FINITE)
        return [self._typed(line, kind) for line in self._lines(done, event)]

    def parity(self) -> list[Logits]:
        """What every stage and control arm makes of the golden inputs, NaN included."""
        lines = self._lines(self.run("parity", tolerated=NOT_FINITE), "logits")
        return [self._typed(line, Logits) for line in lines]

    def run(self, task: str, *flags: str, tolerated: str | None = None) -> list[Line]:
        """Runs a task and returns its lines, the closing one left out.

        Args:
            task: of the harness.
            flags: of the task.
            tolerated: code of an error that comes after all lines were printed and is theirs to
                tell; any other one is raised.

        Raises:
            NotColdError: a cold start was asked for and cannot be had.
            IntegrityError: the harness refuses a file, or has read another plan than was deployed.
            DeviceError: the harness failed or died, or its output is not whole.
        """
        nonce = secrets.token_hex(8)
        argv = [*self.deployment.command, "--task", task, "--nonce", nonce]
        argv += ["--plan", str(self.deployment.plan), *self._pinned, *flags]
        done = self._run(task, argv)
        lines = self._parse(task, done)
        errors = [line for line in lines if line["event"] == "error"]
        for line in errors:
            if line.get("code") != tolerated:
                self._refused(task, str(line.get("code")), str(line.get("message")))
        if done.returncode != 0 and not errors:
            raise DeviceError(
                f"harness task {task} on {self._device.spec} {_ending(done)}; "
                f"its last words: {_tail(done) or 'none'}",
                ENDINGS.get(done.returncode, CRASHED),
            )
        plans = [lines[-1].pop(key, None) for key in ("plan", "loading_plan")] if lines else []
        if not lines or lines[-1] != {"event": "end", "ok": 0 if errors else 1, "nonce": nonce}:
            raise DeviceError(
                f"the output of harness task {task} on {self._device.spec} is cut short",
                "run it again; if it stays so, the device kills the process or drops output",
            )
        self._require_plans(task, plans)
        return [line for line in lines[:-1] if line not in errors]

    def _run(self, task: str, argv: Sequence[str]) -> Completed:
        label = f"harness task {task}"
        try:
            return self._device.run(argv, deadline_s=self._deadline_s, label=label)
        except DeviceTimeoutError as error:
            remedy = "end what else runs on the device; a harness that hangs: see its log"
            if task == "accuracy":
                remedy += "; for a slow model, build with fewer [bundle] evaluation_images"
            raise DeviceTimeoutError(error.what, remedy) from None
        except DeviceGoneError as error:
            what = f"{label} on {self._device.spec}: {error.what}"
            raise DeviceGoneError(what, error.remedy) from None
        except OutputLimitError as error:
            raise DeviceError(f"{error.what} on {self._device.spec}", PRINTING) from None

    def _require_plans(self, task: str, digests: Sequence[object]) -> None:
        """Makes sure that the harness measured what the report is going to be about."""
        if None in digests:
            raise DeviceError(
                f"the harness on {self._device.spec} is of another version: it does not say which "
                "plans it has read",
                THIS_RELEASE,
            )
        if tuple(digests) != self.deployment.plans:
            raise IntegrityError(
                f"harness task {task} on {self._device.spec} measured something else than was "
                f"deployed: {self.deployment.plan} or the loading.plan beside it was replaced "
                "meanwhile",
                "let nothing else write there, and run the command again",
            )

    def _state(self, state: State) -> list[str]:
        caching = self.deployment.caching if state == "cold-cached" else ()
        dropping = ["--drop-caches", self.dropping] if state != "warm" else []
        return ["--state", state, *dropping, *caching]

    def _parse(self, task: str, done: Completed) -> list[Line]:
        lines: list[Line] = []
        for text in done.stdout.decode("utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if not isinstance(line, dict) or not isinstance(line.get("event"), str):
                if done.returncode:  # a process that died in mid-line: its ending says more
                    continue
                raise DeviceError(
                    f"harness task {task} on {self._device.spec} printed what is no result: "
                    f"{text[:80]!r}",
                    PRINTING,
                )
            lines.append(line)
        return lines

    def _refused(self, task: str, code: str, message: str) -> None:
        what = f"harness task {task} on {self._device.spec}: {code}: {message}"
        if code == "not-cold":
            raise NotColdError(
                what,
                "measure warm starts only (--states warm), or in a folder that is on a disk",
            )
        if code in INTEGRITY:
            raise IntegrityError(what, INTEGRITY[code])
        raise DeviceError(what, FAILED.get(code, THIS_RELEASE))

    def _lines(self, lines: Sequence[Line], event: str) -> list[Line]:
        found = [
            {key: value for key, value in line.items() if key != "event"}
            for line in lines
            if line["event"] == event
        ]
        if not found:
            raise DeviceError(
                f"the harness on {self._device.spec} printed no {event!r} line", THIS_RELEASE
            )
        return found

    def _one(self, lines: Sequence[Line], event: str, kind: type[S]) -> S:
        return self._typed(self._lines(lines, event)[0], kind)

    def _typed(self, line: Line, kind: type[S]) -> S:
        try:
            return kind.model_validate(line)
        except ValidationError as error:
            raise DeviceError(
                f"the harness on {self._device.spec} is of another version, or printed what cannot "
                f"be: {error}",
                THIS_RELEASE,
            ) from None


def _ending(done: Completed) -> str:
    if done.returncode > 128:
        try:
            return f"was ended by {signal.Signals(done.returncode - 128).name}"
        except ValueError:
            pass
    return f"ended with status {done.returncode}"


def _tail(done: Completed) -> str:
    return " / ".join(done.stderr.decode("utf-8", errors="replace").strip().splitlines()[-3:])
