"""Devices behind the ADB protocol, over TCP.

Built on adb-shell 0.4.4, from which come the message format, the handshake, keys and signatures.
Each module here replaces what that release lacks or gets wrong, from the socket upwards:

    transport   a TCP socket on which nothing is lost and an end is seen
    banner      what the device says of itself on accepting
    link        messages: the handshake, and when the connection is lost
    stream      one service of adbd: bytes both ways
    shell       a program's run: standard streams, exit status, kill
    lock        other runs kept off the device
    sync        a file's transfer
    auth        the host's RSA keys
    device      all of it as a `pipeline.device.base.Device`
"""
