"""The machine that we run on as the device: the same contract, without a transport."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.device.base import Completed, DeviceProperties, Progress, checked_argv
from pipeline.device.closing import Closing
from pipeline.device.files import file_size, read_blocks, sha256_of, store
from pipeline.device.process import run_process
from pipeline.errors import DeviceError

ABI_OF_MACHINE = {"aarch64": "arm64-v8a", "arm64": "arm64-v8a"}


class LocalDevice(Closing):
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
            raise DeviceError(
                f"{self._folder} cannot be made: {error.strerror}",
                "name a folder that can be written to, as local:FOLDER",
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
    ) -> Completed:
        return run_process(
            checked_argv(argv), deadline_s=deadline_s, stdin=stdin, output_limit=output_limit
        )

    def push(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        executable: bool = False,
        progress: Progress | None = None,
    ) -> None:
        _copy(source, Path(target), 0o755 if executable else 0o644, progress)

    def pull(
        self, source: PurePosixPath, target: Path, *, progress: Progress | None = None
    ) -> None:
        _copy(Path(source), target, 0o644, progress)

    def close(self) -> None:
        pass


def _copy(source: Path, target: Path, mode: int, progress: Progress | None) -> None:
    sha256 = sha256_of(source)
    store(
        read_blocks(source),
        target,
        size=file_size(source),
        sha256=sha256,
        mode=mode,
        progress=progress,
    )
