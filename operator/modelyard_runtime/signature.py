"""OpenSSF Model Signing v1.0: sign the files of a tree with a plain key, and verify a signature.

A signature is a sigstore bundle in JSON. Its DSSE envelope holds an in-toto statement with the
SHA-256 of every file, signed with ECDSA on P-256, P-384 or P-521: what the package `model-signing`
writes and verifies with `sign key` and `verify key` (decision 0029). Files are not read here.

    https://github.com/ossf/model-signing-spec,
    https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from modelyard.api.digest import FileDigest
from modelyard.api.text import printable

__all__ = [
    "FILE",
    "LIMIT",
    "BadSignature",
    "Signed",
    "differences",
    "fingerprint",
    "private_key",
    "public_key",
    "sign",
    "verify",
]

FILE = "model.sig"
"""The signature's file, at the root of the tree. It does not cover itself."""
LIMIT = 8 << 20
"""Most bytes of a signature, enough for about 30,000 files."""
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""Curves, each with the hash that sigstore's bundles pair it with."""
_CURVES = "an EC key on P-256, P-384 or P-521"
_SHOWN = 120


class BadSignature(Exception):
    """A signature or a key is invalid; the message says why."""


@dataclass(frozen=True)
class Signed:
    """The content of a verified signature.

    Attributes:
        key: Fingerprint of the key.
        files: SHA-256 in hex by path.

    """

    key: str
    files: Mapping[str, str]


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the first 16 hex digits of the SHA-256 of a key's SubjectPublicKeyInfo."""
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()[:16]


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Read a public key in PEM, with any line breaks.

    Raises:
        BadSignature: It is not a public key, or is on a curve that the format does not have.

    """
    begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    body = "".join(text.strip().removeprefix(begin).removesuffix(end).split())
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    try:
        found = load_pem_public_key("\n".join([begin, *lines, end, ""]).encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadSignature("it is not a public key in PEM") from None
    if not isinstance(found, ec.EllipticCurvePublicKey) or found.curve.name not in _HASHES:
        raise BadSignature(f"it is not {_CURVES}")
    return found


def private_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key in PEM. The exception's message does not contain the key.

    Raises:
        BadSignature: It is not a private key, is encrypted, or is on a curve that the format does
            not have.

    """
    try:
        found = load_pem_private_key(data, None)
    except TypeError:
        raise BadSignature("is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadSignature("holds no private key in PEM") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or found.curve.name not in _HASHES:
        raise BadSignature(f"does not hold {_CURVES}")
    return found


def sign(name: str, files: Iterable[FileDigest], key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the signature over a tree's files, except FILE at its root, which it will replace.

    Args:
        name: The tree's name in the statement; verifiers ignore it.
        files: All files of the tree.
        key: From `private_key`.

    """
    covered = sorted((file for file in files if file.path != FILE), key=lambda file: file.path)
    root = hashlib.sha256(b"".join(bytes.fromhex(file.sha256) for file in covered)).hexdigest()
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [FILE],
            },
            "resources": [
                {"name": file.path, "algorithm": "sha256", "digest": file.sha256}
                for file in covered
            ],
        },
    }
    payload, public = json.dumps(statement).encode(), key.public_key()
    signature = key.sign(_encoded(payload), ec.ECDSA(_HASHES[key.curve.name]))
    bundle = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(public)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def verify(data: bytes, keys: Sequence[ec.EllipticCurvePublicKey]) -> Signed:
    """Verify a signature and return its content, to be compared with the files (`differences`).

    Raises:
        BadSignature: It is not a sigstore bundle, it was altered, or it is by another key.

    """
    bundle = _object(_json(data), "it is not a sigstore bundle")
    if bundle.get("mediaType") != _MEDIA_TYPE:
        raise BadSignature(
            f"it is not a sigstore bundle: its mediaType is {_shown(bundle.get('mediaType'))}, not"
            f" {_MEDIA_TYPE}"
        )
    envelope = _object(bundle.get("dsseEnvelope"), "its bundle has no dsseEnvelope")
    if envelope.get("payloadType") != _PAYLOAD_TYPE:
        raise BadSignature(
            f"its payloadType is {_shown(envelope.get('payloadType'))}, not {_PAYLOAD_TYPE}"
        )
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise BadSignature("its envelope must have exactly one signature")
    payload = _bytes(envelope.get("payload"), "payload")
    signature = _bytes(_object(signatures[0], "its envelope has no signature").get("sig"), "sig")
    key = next((key for key in keys if _is_by(key, signature, payload)), None)
    if key is None:
        raise BadSignature(_other_key(bundle.get("verificationMaterial"), keys))
    return Signed(fingerprint(key), _files(payload))


def differences(signed: Mapping[str, str], files: Iterable[FileDigest]) -> list[str]:
    """Return how a tree differs from what was signed: changed, missing, then unsigned files."""
    found = {file.path: file.sha256 for file in files if file.path != FILE}
    changed = sorted(path for path in found.keys() & signed.keys() if found[path] != signed[path])
    return [
        *(f"{_shown(path)} was changed after it was signed" for path in changed),
        *(
            f"{_shown(path)} was signed and is missing"
            for path in sorted(signed.keys() - found.keys())
        ),
        *(f"{_shown(path)} is not signed" for path in sorted(found.keys() - signed.keys())),
    ]


def _encoded(payload: bytes) -> bytes:
    """Return the bytes that DSSE signs: type and payload, each with its length."""
    return b"DSSEv1 %d %s %d %s" % (
        len(_PAYLOAD_TYPE),
        _PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def _hint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the hint by which a bundle names a key: the SHA-256 of its PEM, in hex."""
    return hashlib.sha256(
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def _is_by(key: ec.EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    try:
        key.verify(signature, _encoded(payload), ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def _other_key(material: Any, keys: Sequence[ec.EllipticCurvePublicKey]) -> str:
    """Return why no key matches; the hint is not signed, so it is used only for this message."""
    named = material.get("publicKey") if isinstance(material, dict) else None
    hint = named.get("hint") if isinstance(named, dict) else None
    if isinstance(material, dict) and (
        "certificate" in material or "x509CertificateChain" in material
    ):
        return "it is by a certificate, not by a key; sign with a key that the gate names"
    wanted = f"the gate's {'key' if len(keys) == 1 else 'keys'} {', '.join(map(fingerprint, keys))}"
    if not isinstance(hint, str) or not hint:
        return f"it is not by {wanted}, or it was altered; it does not name its key"
    ours = next((key for key in keys if _hint(key) == hint), None)
    if ours is not None:
        return f"it names the key {fingerprint(ours)} but is not by that key: it was altered"
    return f"it is not by {wanted}, but by a key whose PEM has the SHA-256 {_shown(hint)[:64]}"


def _files(payload: bytes) -> dict[str, str]:
    """Return the files of the statement: paths with their SHA-256."""
    statement = _object(_json(payload), "its payload is not an in-toto statement")
    if statement.get("_type") != _STATEMENT:
        raise BadSignature(
            f"its payload is {_shown(statement.get('_type'))}, not an in-toto statement"
            f" ({_STATEMENT})"
        )
    if (kind := statement.get("predicateType")) != _PREDICATE:
        raise BadSignature(
            f"its statement is {_shown(kind)}, not {_PREDICATE}: sign again with model-signing 1.0"
            " or later"
        )
    predicate = _object(statement.get("predicate"), "its statement has no predicate")
    how = _object(
        predicate.get("serialization"), "its statement does not say how the files were hashed"
    )
    if (how.get("method"), how.get("hash_type")) != ("files", "sha256"):
        hashed = f"{_shown(how.get('method'))} by {_shown(how.get('hash_type'))}"
        raise BadSignature(
            f"it covers {hashed}; sign whole files by SHA-256, which is model_signing's default"
        )
    resources = predicate.get("resources")
    if not isinstance(resources, list):
        raise BadSignature("its statement lists no files")
    found: dict[str, str] = {}
    for each in resources:
        path, digest = _resource(each)
        if path in found:
            raise BadSignature(f"its statement lists {_shown(path)} twice")
        found[path] = digest
    root = hashlib.sha256(b"".join(map(bytes.fromhex, found.values()))).hexdigest()
    if root != _root(statement.get("subject")):
        raise BadSignature(
            f"its statement contradicts itself: its files have the digest {root}, its subject has"
            " another"
        )
    return found


def _resource(each: Any) -> tuple[str, str]:
    fields = _object(each, "its statement lists something that is not a file")
    path, digest = fields.get("name"), fields.get("digest")
    if (
        not isinstance(path, str)
        or not isinstance(digest, str)
        or fields.get("algorithm") != "sha256"
    ):
        raise BadSignature(f"its statement has no SHA-256 of {_shown(path)}")
    try:
        if len(bytes.fromhex(digest)) == hashlib.sha256().digest_size:
            return path, digest.lower()
    except ValueError:
        pass
    raise BadSignature(f"its statement's SHA-256 of {_shown(path)} is {_shown(digest)}")


def _root(subject: Any) -> Any:
    if not isinstance(subject, list) or len(subject) != 1:
        raise BadSignature("its statement must have exactly one subject")
    digest = _object(subject[0], "its statement's subject is not an object").get("digest")
    return _object(digest, "its statement's subject has no digest").get("sha256")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadSignature("it is not JSON, so it is not a sigstore bundle") from None


def _object(value: Any, otherwise: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadSignature(otherwise)
    return value


def _bytes(value: Any, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise BadSignature(f"the field {name} of its envelope is not base64") from None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else "(not a string)"
    return printable(text[: 4 * _SHOWN])[:_SHOWN]
