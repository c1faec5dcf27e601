"""Devices behind the ADB protocol: through the adb server, over TCP, TLS or USB.

Messages, streams and transfers are our own, so that nothing is lost, waited for or left behind;
from adb-shell come keys, signatures and the access to USB.

    address, server, listing   the adb server: where it is, what it answers, which device is meant
    server_link                a device behind it
    transport, usb             bytes to adbd without a server: TCP, TLS over it, USB
    messages                   ADB's messages over them
    auth, tls, handshake       the host's keys; how a device lets us in
    banner                     what it says of itself then
    direct                     a device on a connection of our own
    link                       what both have in common: services of adbd as streams of bytes
    shell                      a program's run: standard streams, exit status, kill
    sync                       a file's transfer
    lock                       other runs kept off the device
    dial                       which way to a device
    device                     all of it as a `pipeline.device.base.Device`
"""
