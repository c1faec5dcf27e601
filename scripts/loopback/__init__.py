"""The loopback device: Debian's real adbd in a sandbox on 127.0.0.1, standing in for a phone.

Standard library only: it has to run before anything of the project is installed.
"""
