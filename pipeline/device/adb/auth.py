"""The RSA keys by which a device knows this host; the same files that `adb` itself uses."""

from __future__ import annotations

import base64
import os
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import DeviceError

if TYPE_CHECKING:
    from adb_shell.auth.sign_pythonrsa import PythonRSASigner


@dataclass(frozen=True, slots=True)
class HostKey:
    """One key of this host.

    Attributes:
        file: the private key.
        public: what a device remembers, as in the ``.pub`` file.
        signer: makes signatures with it.
    """

    file: Path
    public: str
    signer: PythonRSASigner

    def sign(self, token: bytes) -> bytes:
        """The signature of a device's question, which is taken for a SHA-1 hash."""
        return bytes(self.signer.Sign(token))


def host_keys(extra: Sequence[Path] = ()) -> list[HostKey]:
    """All keys to offer to a device, the one that it should remember first.

    Args:
        extra: private key files that go before ``~/.android/adbkey`` and those of ADB_VENDOR_KEYS.

    Raises:
        DeviceError: a key file that is named or found is not a key, or none can be made.
    """
    files = [*extra, *(file for file in _usual_files() if file.exists())]
    return [_read(file) for file in files or [_create(user_key())]]


def user_key() -> Path:
    """Where `adb` keeps this user's private key."""
    return Path.home() / ".android" / "adbkey"


def _usual_files() -> list[Path]:
    files = [user_key()]
    for entry in filter(None, os.environ.get("ADB_VENDOR_KEYS", "").split(os.pathsep)):
        path = Path(entry)
        files.extend(sorted(path.glob("*.adb_key")) if path.is_dir() else [path])
    return files


def _read(file: Path) -> HostKey:
    from adb_shell.auth.sign_pythonrsa import PythonRSASigner

    try:
        private = file.read_text(encoding="ascii")
        public_file = file.with_name(f"{file.name}.pub")
        if public_file.exists():
            public = public_file.read_text(encoding="utf-8").strip()
        else:
            public = _public_key(file)
        return HostKey(file, public, PythonRSASigner(public, private))
    except OSError as error:
        raise DeviceError(
            f"the ADB key {file} cannot be read: {error.strerror}",
            "name a key that is there (in ADB_VENDOR_KEYS) and that this user may read",
        ) from error
    except Exception as error:  # rsa and pyasn1 have no common root for "this is not a key"
        raise DeviceError(
            f"{file} is not an RSA private key in PEM (PKCS#8) form: {error}",
            "name the private key (adbkey), not the public one (adbkey.pub)",
        ) from error


def _public_key(private_file: Path) -> str:
    from adb_shell.auth.keygen import encode_pubkey

    return base64.b64encode(encode_pubkey(str(private_file))).decode() + _comment()


def _comment() -> str:
    return f" pwl@{socket.gethostname()}"


def _create(file: Path) -> Path:
    """Makes a key pair that only its owner can read; of two at once the first one counts."""
    from adb_shell.auth.keygen import keygen

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # keygen() would leave a file that everybody can read; the folder is its owner's alone.
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            new = Path(folder) / file.name
            keygen(str(new))
            new.chmod(0o600)
            try:
                os.link(new, file)
            except FileExistsError:
                return file
            new.with_name(f"{new.name}.pub").replace(file.with_name(f"{file.name}.pub"))
    except OSError as error:
        raise DeviceError(
            f"the device asks for a key, and none can be made at {file}: {error.strerror}",
            "make the folder writable, or name a key in ADB_VENDOR_KEYS",
        ) from error
    return file
