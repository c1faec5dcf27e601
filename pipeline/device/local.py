"""The machine that we run on as the device: the same contract, without a transport."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path, PurePosixPath

from pipeline.core.errors import DeviceError, UsageError
from pipeline.core.locks import writing_folder
from pipeline.device.base import (
    Completed,
    DeviceLock,
    DeviceProperties,
    TransferProgress,
    checked_argv,
)
from pipeline.device.file_remedies import remedy_for
from pipeline.device.files import file_size, read_blocks, store, transfer_digest
from pipeline.device.process import run_process

ABI_OF_MACHINE = {"aarch64": "arm64-v8a", "arm64": "arm64-v8a"}


class LocalDevice(AbstractContextManager["LocalDevice"]):
    """Runs programs as subprocesses and copies files; see `pipeline.device.base.Device`.

    Args:
        folder: what `workdir` is; by default ``build/device`` below the current folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._spec = "local" if folder is None else f"local:{folder}"
        self._folder = (folder or Path("build", "device")).absolute()

    @property
    def spec(self) -> str:
        return self._spec

    @property
    def workdir(self) -> PurePosixPath:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DeviceError(
                f"{self._folder} cannot be made: {reason}",
                remedy_for(reason, self._folder, self._spec),
            ) from error
        return PurePosixPath(self._folder)

    def properties(self) -> DeviceProperties:
        cpuinfo, meminfo = Path("/proc/cpuinfo").read_text(), Path("/proc/meminfo").read_text()
        name = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
        memory = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
        machine = platform.machine()
        kernel = f"{platform.system()} {platform.release()}"
        return DeviceProperties(
            kind="local",
            serial="local",
            model=name[1] if name else machine,
            abi=ABI_OF_MACHINE.get(machine, machine),
            system=kernel,
            sdk=None,
            cores=os.cpu_count() or 1,
            memory_bytes=int(memory[1]) * 1024 if memory else None,
            extra={"kernel": kernel},
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        stdin: bytes = b"",
        output_limit: int = 64 << 20,
        label: str = "",
    ) -> Completed:
        return run_process(
            checked_argv(argv),
            deadline_s=deadline_s,
            stdin=stdin,
            output_limit=output_limit,
            label=label,
        )

    def push(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        executable: bool = False,
        sha256: str | None = None,
        progress: TransferProgress | None = None,
    ) -> None:
        mode = 0o755 if executable else 0o644
        _copy(source, Path(target), mode, sha256 or transfer_digest(source), progress)

    def lock(self) -> LocalLock:
        return LocalLock(self._spec, Path(self.workdir))

    def close(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.close()


class LocalLock(DeviceLock):
    """The lock on a folder of this machine; see `pipeline.device.base.Device.lock`."""

    def __init__(self, spec: str, folder: Path) -> None:
        self._spec = spec
        self._stack = ExitStack()
        try:
            self._file = self._stack.enter_context(
                writing_folder(folder, "measure in another folder, with --device local:FOLDER")
            )
            self._identity = self._file.stat().st_ino
        except UsageError as error:
            raise DeviceError(error.what, error.remedy) from error

    def require(self) -> None:
        try:
            held = self._file.stat().st_ino == self._identity
        except OSError:
            held = False
        if not held:
            raise DeviceError(
                f"{self._file} was removed while it was locked, so that another run may have "
                "worked in its folder",
                "run again, and let nothing remove files there meanwhile",
            )

    def close(self) -> None:
        self._stack.close()


def _copy(
    source: Path, target: Path, mode: int, sha256: str, progress: TransferProgress | None
) -> None:
    store(
        read_blocks(source),
        target,
        size=file_size(source),
        sha256=sha256,
        mode=mode,
        progress=progress,
    )
