"""Verify the signature of a version's files: the pod of the gate `signed`.

    python -m modelyard_runtime.signed --key "-----BEGIN PUBLIC KEY----- ..."

The URI of the files and their digest are in the environment (`modelyard.api.wire`). The files are
hashed once, and the same hashes are checked against the digest and the signature. Only the
signature's file is kept and read. The operator decides what happens to the version.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from modelyard.api import wire
from modelyard.api.artifacts import parse_uri
from modelyard.api.digest import FileDigest
from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3, signature
from modelyard_runtime.fetch import fetched, translated_errors
from modelyard_runtime.outcome import Failure, report, run_until_stopped

__all__ = ["judge", "main"]

_MOST_DIFFERENCES = 5
_KEPT = "the signature cannot be written to a file"


def judge(uri: str, digest: str, keys: Sequence[str]) -> str:
    """Verify the signature of the tree at `uri` and return a sentence that names the key.

    Args:
        uri: `s3://bucket/prefix`.
        digest: `sha256:<hex>` of the tree.
        keys: Public keys in PEM; one of them must have signed.

    Raises:
        Failure: SignatureMissing, SignatureInvalid, or a reason of `fetch`.

    """
    known = []
    for number, text in enumerate(keys, 1):
        try:
            known.append(signature.public_key(text))
        except signature.BadSignature as error:
            raise _invalid(f"key {number} of the gate cannot be used: {error}") from None
    with translated_errors(_KEPT):
        files = fetched(uri, digest)
        file = next((file for file in files if file.path == signature.FILE), None)
        if file is None:
            message = (
                f"there is no {signature.FILE} among its {len(files)} files; sign with trainer.sign"
                " or `model_signing sign key`"
            )
            raise Failure(PodReason.SIGNATURE_MISSING, message)
        data = _read(uri, file)
    try:
        result = signature.verify(data, known)
    except signature.BadSignature as error:
        raise _invalid(f"{signature.FILE}: {error}") from None
    if found := signature.differences(result.files, files):
        more = (
            f", and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
        )
        raise _invalid(
            f"{', '.join(found[:_MOST_DIFFERENCES])}{more}; signed by the key {result.key}"
        )
    return f"signed by the key {result.key}, {len(result.files)} files"


def _read(uri: str, file: FileDigest) -> bytes:
    """Read the signature's file, and check that it has not changed since it was hashed."""
    if file.size > signature.LIMIT:
        raise _invalid(
            f"{file.path} has {file.size} bytes; a signature has at most {signature.LIMIT}"
        )
    place = parse_uri(uri)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / file.path
        sha256, _ = s3.save(
            s3.client(1), place.bucket, place.prefix + file.path, target, lambda _: None
        )
        if sha256 != file.sha256:
            raise Failure(
                PodReason.DIGEST_MISMATCH, f"{file.path} at {uri} changed while it was read"
            )
        return target.read_bytes()


def _invalid(message: str) -> Failure:
    return Failure(PodReason.SIGNATURE_INVALID, message)


def main() -> None:
    """Read the command line and the environment, verify, and report the result."""
    parser = argparse.ArgumentParser(prog="modelyard_runtime.signed", description=__doc__)
    parser.add_argument(
        "--key",
        action="append",
        required=True,
        help="a public key in PEM; one of several must have signed",
    )
    options = parser.parse_args()
    try:
        uri, digest = os.environ[wire.CANDIDATE_URI], os.environ[wire.CANDIDATE_DIGEST]
    except KeyError as error:
        raise Failure(PodReason.INVALID_CONFIGURATION, f"{error.args[0]} is not set") from None
    result = judge(uri, digest, options.key)
    print(result, flush=True)
    report({"message": result})


if __name__ == "__main__":
    run_until_stopped(main)
