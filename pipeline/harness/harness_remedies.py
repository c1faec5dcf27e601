"""What to do about a harness that failed, by what it said or how it ended."""

from __future__ import annotations

import signal

#: Logits that hold NaN or infinity.
NOT_FINITE = "not-finite"
#: Every file was whole when it was deployed, just before.
CHANGED = (
    "something else writes there, or the storage fails: see to it, and run the command again, "
    "which deploys what is damaged anew"
)
THIS_RELEASE = (
    "build the harness package with this release; without --harness one is built for the device"
)
PRINTING = (
    "a wrapper, a preloaded library or the device's shell prints into its output: see what "
    "`adb shell true` prints there, and remove that"
)
#: Codes of the harness that mean "the files are wrong", as opposed to "the device failed", and what
#: to do about them.
INTEGRITY = {
    "damaged": CHANGED,
    "missing": CHANGED,
    "invalid-plan": THIS_RELEASE,
    NOT_FINITE: "do not ship the bundle; measure it elsewhere to see which side is at fault",
    "incompatible": "build the bundle for this runtime, or measure with a runtime that it is for",
}
FAILED = {
    "usage": THIS_RELEASE,
    "io": "see to what the device's system refuses there; its log (`adb logcat`, `dmesg`) may say "
    "more",
    "runtime": "it is the inference library's own: try the bundle on another device or with "
    "another version of the library",
}
#: What to do about a harness that did not end by itself with 0, by its exit status.
ENDINGS = {
    126: "the device does not execute files there: see that its storage is not mounted noexec",
    127: "the harness, its loader or a library is missing: use a package that was built for this "
    "device's system (--harness)",
    128 + signal.SIGKILL: "mostly the device has no memory left: end what else runs there, or "
    "measure a smaller model",
    128 + signal.SIGILL: "the harness was built for a processor with other instructions: build it "
    "on or for this one",
    128 + signal.SIGHUP: "the connection, or somebody on the device, ended it: run again",
    128 + signal.SIGTERM: "somebody or something on the device ended it: see to that, run again",
}
CRASHED = (
    "the harness or the inference library crashed: try the bundle on another device, and report "
    "it with what the device's log says of it (`adb logcat`, `dmesg`)"
)
