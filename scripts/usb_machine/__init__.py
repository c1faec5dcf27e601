"""A virtual machine with a USB device that is Debian's adbd: see scripts/test-usb.

It runs the host's programs on the host's files, which are read only there.

kernel      Debian's kernel, and the modules that it needs here
initramfs   what it starts with: busybox, the modules, `init`
machine     QEMU, from power on to the tests' exit status
init        a script: the first program in the machine
guest       a script: makes the USB device, and runs the tests
"""
