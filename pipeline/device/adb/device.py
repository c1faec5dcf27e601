"""A phone, or anything else behind adbd, as a `Device`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from pipeline.core.errors import DeviceError
from pipeline.core.locks import LOCK_NAME, holder_text
from pipeline.device.adb import sync
from pipeline.device.adb.link import RESTART, Link
from pipeline.device.adb.lock import AdbLock
from pipeline.device.adb.properties import PROPERTIES, parsed_properties
from pipeline.device.adb.shell import ShellCommand, kill_remote_group
from pipeline.device.base import (
    Completed,
    DeviceGoneError,
    DeviceProperties,
    DeviceTimeoutError,
    TransferError,
    TransferProgress,
    device_task,
)
from pipeline.device.file_remedies import remedy_for
from pipeline.device.files import Source, file_size, partial_name

WORKDIR = PurePosixPath("/data/local/tmp/pwl")

#: Slower than any storage in use; what a hash of a file may take is reckoned from it.
SLOWEST_HASH_BYTES_S = 1 << 20

#: Of PROBE: a program is missing that is needed later. What else is used (env, stat, timeout) has a
#: stand-in.
NO_PROGRAM = 70
#: Argument: the folder. A shell runs a file that is no program, but may be executed, as a script.
PROBE = f"""
missing=
for program in cat chmod find grep mkdir mv rm sha256sum; do
  command -v $program >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] || {{ echo $missing >&2; exit {NO_PROGRAM}; }}
umask 022
mkdir -p "$1" || exit 1
probe="$1/.pwl-probe-$$"
trap 'rm -f "$probe"' EXIT
echo 'exit 0' >"$probe" || exit 1
chmod 755 "$probe" && "$probe" 2>/dev/null && exit 0
echo "programs may not be executed in $1" >&2
exit 1
"""
#: Arguments: the unfinished file, its final name, its sha256, its mode.
PUBLISH = """
[ ! -d "$2" ] || { echo "$2 is a folder" >&2; exit 1; }
sum=$(sha256sum < "$1") || exit
[ "${sum%% *}" = "$3" ] || { echo "it arrived as ${sum%% *} and was sent as $3" >&2; exit 1; }
chmod "$4" "$1" && mv -f "$1" "$2"
"""


class AdbDevice(AbstractContextManager["AdbDevice"]):
    """A device behind an ADB connection; see `pipeline.device.base.Device`.

    After an interrupt (Ctrl-C) in the middle of a message it connects anew by itself; a connection
    that the device has left stays lost. An interrupt kills the running command; in its first
    milliseconds, before its process group is known, it only hangs up on it (SIGHUP).

    Args:
        spec: the name that the user gave it.
        dial: opens a connection to it.
        folder: what `workdir` is; absolute.
    """

    def __init__(
        self, spec: str, dial: Callable[[], Link], folder: PurePosixPath = WORKDIR
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._dial = dial
        self._current = dial()
        self._workdir_made = False
        self._folders: set[PurePosixPath] = set()

    @property
    def spec(self) -> str:
        return self._spec

    @property
    def workdir(self) -> PurePosixPath:
        """Made and tried on first use: whether files can be written and executed there.

        Raises:
            DeviceError: they cannot; another folder is needed. Or the device lacks a program.
        """
        if not self._workdir_made:
            with device_task(f"trying {self._folder} on {self._spec}"):
                done = self._shell(PROBE, str(self._folder))
            if done.returncode == NO_PROGRAM:
                raise DeviceError(
                    f"{self._spec} lacks programs: {', '.join(_reason(done).split())}",
                    "Android 8 and later have all that is needed; elsewhere install toybox or "
                    "busybox",
                )
            if done.returncode != 0:
                reason = _reason(done)
                raise DeviceError(
                    f"{self._folder} cannot be worked in on {self._spec}: {reason}",
                    remedy_for(reason, self._folder, self._spec),
                )
            self._workdir_made = True
        return self._folder

    def properties(self) -> DeviceProperties:
        with device_task(f"asking {self._spec} what it is"):
            done = self._shell(PROPERTIES)
        found = parsed_properties(done.stdout.decode("utf-8", "replace"), self._current)
        if found is None:
            raise DeviceError(
                f"{self._spec} does not say what it is: {_reason(done)}",
                "uname, grep and /proc are needed on the device",
            )
        return found

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        stdin: bytes = b"",
        output_limit: int = 64 << 20,
        label: str = "",
    ) -> Completed:
        deadline = time.monotonic() + deadline_s
        command = ShellCommand(argv, stdin=stdin, output_limit=output_limit, label=label)
        try:
            return command.run(self._link(), deadline)
        except DeviceGoneError:
            raise
        except DeviceTimeoutError:
            was_killed = self._kill(command)
            what = f"{command.label} did not end on {self._spec} within {deadline_s:g} s; "
            if was_killed:
                raise DeviceTimeoutError(
                    what + "it was killed",
                    "find out what it waits for, or end what else keeps the device busy",
                ) from None
            raise DeviceTimeoutError(
                what + "the device no longer answers, so that it may still run", RESTART
            ) from None
        except BaseException:
            if command.group is not None:
                self._kill(command)
            raise

    def push(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        executable: bool = False,
        sha256: str | None = None,
        progress: TransferProgress | None = None,
    ) -> None:
        size = file_size(source)
        partial = target.with_name(partial_name())
        self._make_folder(target.parent)
        try:
            mode = 0o755 if executable else 0o644
            with Source(source, hashed=sha256 is None) as content:
                sync.send_file(
                    self._link(), content, str(partial), size=size, mode=mode, progress=progress
                )
                names = (str(partial), str(target), sha256 or content.sha256, f"{mode:o}")
            label, seconds = f"the check of {target}", self._hash_seconds(size)
            done = self._shell(PUBLISH, *names, deadline_s=seconds, label=label)
            if done.returncode != 0:
                reason = _reason(done)
                raise TransferError(
                    f"{target} was not written on {self._spec}: {reason}",
                    remedy_for(reason, target, self._spec),
                )
        except DeviceGoneError:
            raise
        except BaseException:
            self._remove(partial)
            raise

    def lock(self) -> AdbLock:
        path = self.workdir / LOCK_NAME
        with device_task(f"locking {path} on {self._spec}"):
            shared = self._link().alone
            link = self._link() if shared else self._dial()
            return AdbLock(self._spec, link, path, holder_text(), shared=shared)

    def close(self) -> None:
        self._current.close()

    # ---- helpers

    def __exit__(self, *error: object) -> None:
        self.close()

    def _link(self) -> Link:
        if self._current.interrupted:
            self._current.close()
            self._current = self._dial()
        return self._current

    def _shell(
        self, script: str, *arguments: str, deadline_s: float | None = None, label: str = ""
    ) -> Completed:
        argv = ["sh", "-c", script, "sh", *arguments]
        return self.run(argv, deadline_s=deadline_s or self._current.timeout_s, label=label)

    def _hash_seconds(self, size: int) -> float:
        return self._current.timeout_s + size / SLOWEST_HASH_BYTES_S

    def _make_folder(self, folder: PurePosixPath) -> None:
        """Makes a folder, once: where it is removed meanwhile, adbd makes it again by itself."""
        if folder in self._folders:
            return
        script, label = 'umask 022 && mkdir -p "$1"', f"making {folder}"
        done = self._shell(script, str(folder), label=label)
        if done.returncode != 0:
            reason = _reason(done)
            raise TransferError(
                f"{folder} cannot be made on {self._spec}: {reason}",
                remedy_for(reason, folder, self._spec),
            )
        self._folders.add(folder)

    def _remove(self, partial: PurePosixPath) -> None:
        # The error that led here is the one to report.
        with contextlib.suppress(DeviceError):
            self._shell('rm -f "$1"', str(partial))

    def _kill(self, command: ShellCommand) -> bool:
        """Kills what a command left running; whether that went well."""
        with contextlib.suppress(DeviceError):
            link = self._link()
            if command.group is not None:
                kill_remote_group(link, command.group, time.monotonic() + link.timeout_s)
                return True
        self._current.close()
        return False


def _reason(done: Completed) -> str:
    text = done.stderr.decode("utf-8", "replace").strip()
    return text or f"exit status {done.returncode}"
