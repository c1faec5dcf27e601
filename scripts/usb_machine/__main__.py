"""Runs tests/device/test_usb_machine.py in the virtual machine: python -m usb_machine."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from loopback.errors import LoopbackError

from usb_machine.kernel import Kernel
from usb_machine.machine import run_machine

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    state = CHECKOUT / "build" / "usb-machine"
    environment = {
        "PWL_CHECKOUT": str(CHECKOUT),
        "PWL_DEVICE_ROOT": os.environ["PWL_DEVICE_ROOT"],
        "PWL_PYTHON": str(Path(sys.executable).parent),
    }
    try:
        kernel = Kernel.ensure(state / "kernel")
        return run_machine(kernel, state, environment, sys.argv[1:])
    except LoopbackError as error:
        print(f"test-usb: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
