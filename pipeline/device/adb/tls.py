"""TLS as wireless debugging (Android 11 and later) wants it: the host's ADB key is who we are."""

from __future__ import annotations

import datetime
import ssl
import tempfile

from pipeline.core.errors import DeviceError
from pipeline.device.adb.auth import HostKey

#: Android looks at the public key alone; it ignores dates.
LIFETIME = datetime.timedelta(days=3650)


def context_for(key: HostKey) -> ssl.SSLContext:
    """What a connection to a device that knows this key is made with.

    The device's own certificate is not checked, as `adb` does not: pairing tells the device who we
    are, not us who it is.

    Raises:
        DeviceError: the key is not one that TLS can use.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The standard library takes keys from files only; this one can be read by its owner alone.
    with tempfile.NamedTemporaryFile(prefix="pwl-adb-") as file:
        file.write(certificate(key))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def certificate(key: HostKey) -> bytes:
    """A self-signed certificate of the key, with the key itself, in PEM form."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509.oid import NameOID

    private = serialization.load_pem_private_key(key.file.read_bytes(), None)
    if not isinstance(private, RSAPrivateKey):
        raise DeviceError(f"{key.file} is no RSA key", "name the key that `adb` made (adbkey)")
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Android"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Adb"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
