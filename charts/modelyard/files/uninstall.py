"""Delete modelyard's objects before the operator is uninstalled, and wait until they are deleted.

The operator must still be running, because it finalizes them. `helm uninstall` runs this in a pod,
with a ServiceAccount that may list and delete them.

Arguments: the namespaces to empty, or `--all`. Environment, in addition to Kubernetes' own:
SECONDS_TO_WAIT; SERVICE_ACCOUNT (the folder of the account's token and CA certificate); POLICIES
(ValidatingAdmissionPolicies, with bindings of the same names, to delete at the end, before helm
deletes the CRDs; separated by spaces).
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
GROUP = "/apis/modelyard.io/v1alpha1"
# Models first: they serve what the others produced.
KINDS = ("registeredmodels", "trainingruns", "experiments")
SECONDS = int(os.environ.get("SECONDS_TO_WAIT", "240"))
# Some policies read RegisteredModels as parameters. Without that CRD they would refuse all requests
# that they match.
POLICIES = os.environ.get("POLICIES", "").split()
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


DEADLINE = time.monotonic() + SECONDS


def ask(method: str, path: str) -> dict | None:
    """Send a request to the API server, and retry it on 429 and 5xx; return None on 404."""
    while True:
        token = (ACCOUNT / "token").read_text()  # read each time, because it is rotated
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(API + path, method=method, headers=headers)
        try:
            trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
            with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            text = error.read().decode(errors="replace")
            said = json.loads(text).get("message", "") if text.startswith("{") else text
            trouble, later = f"{error.code} {said}", error.code == 429 or error.code >= 500
        except OSError as error:
            trouble, later = str(error), True
        if not later or time.monotonic() > DEADLINE:
            sys.exit(f"{method} {path}: {trouble}")
        time.sleep(1)


def left(scopes: list[str]) -> list[tuple[str, str]]:
    """Return kind and path of every existing object."""
    found = []
    for scope in scopes:
        for kind in KINDS:
            for item in (ask("GET", f"{GROUP}{scope}/{kind}") or {"items": []})["items"]:
                meta = item["metadata"]
                path = f"{GROUP}/namespaces/{meta['namespace']}/{kind}/{meta['name']}"
                found.append((kind, path))
    return found


def named(kind: str, path: str) -> str:
    """Return an object as `kind namespace/name`."""
    return f"{kind} {path.split('/')[-3]}/{path.split('/')[-1]}"


def main() -> None:
    """Delete the objects, and wait until they are deleted."""
    scopes = [""] if "--all" in sys.argv[1:] else [f"/namespaces/{name}" for name in sys.argv[1:]]
    printed = None
    objects = left(scopes)
    for kind, path in objects:
        print(f"deleting {named(kind, path)}", flush=True)
        ask("DELETE", path)
    while objects:
        if time.monotonic() > DEADLINE:
            names = ", ".join(named(kind, path) for kind, path in objects[:10])
            sys.exit(
                f"{len(objects)} objects still exist after {SECONDS} s: {names}. The operator must"
                " apply their deletionPolicy before they can be deleted: check that it is running"
                " and that MLflow answers, then uninstall again. `helm uninstall --no-hooks` leaves"
                " them behind."
            )
        if printed != len(objects):
            printed = len(objects)
            print(f"waiting for the deletion of {printed} objects", flush=True)
        time.sleep(1)
        objects = left(scopes)
    for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        for name in POLICIES:
            ask("DELETE", f"{ADMISSION}/{kind}/{name}")
    print("no object is left for the operator to finalize")


main()
