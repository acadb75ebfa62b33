"""Writing objects: create, apply, patch, delete."""

from modelyard.client.kube.kinds import Kind, kind_of
from modelyard.client.kube.reading import Manifest, Reading

__all__ = ["FIELD_MANAGER", "Writing"]

FIELD_MANAGER = "modelyard-client"
"""The client's name in `metadata.managedFields`, for server-side apply."""


class Writing(Reading):
    """The part of `Kube` that writes."""

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object, in the client's namespace if it names none, and return it.

        Args:
            manifest: The object.
            dry_run: Validate only; nothing is stored.

        Raises:
            Refused: A value is invalid, a field is unknown, or the object exists already.

        """
        meta = manifest.get("metadata") or {}
        body = self._placed(manifest)
        return self._session.ask(
            "create",
            _kind(manifest),
            meta.get("name", ""),
            meta.get("namespace"),
            body=body,
            params=_written(dry_run=dry_run),
        )

    def apply(self, manifest: Manifest, *, force: bool = False, dry_run: bool = False) -> Manifest:
        """Apply an object by server-side apply, and return it.

        Fields in the manifest are set; fields that the client applied before and that are absent
        now are removed; fields of other managers stay.

        Args:
            manifest: The object, with the fields to set.
            force: Become the owner of fields that another manager owns (kubectl, GitOps, another
                user), instead of being refused.
            dry_run: Validate only, and return the object as it would be; nothing is stored.

        Raises:
            Refused: A value is invalid; or another manager owns a field: `problems` names them.

        """
        meta = manifest.get("metadata") or {}
        params = _written(dry_run=dry_run) | {"force": str(force).lower()}
        body, media = self._placed(manifest), "application/apply-patch+yaml"
        return self._session.ask(
            "patch",
            _kind(manifest),
            meta.get("name", ""),
            meta.get("namespace"),
            body=body,
            params=params,
            media=media,
        )

    def patch(
        self,
        kind: str | Kind,
        name: str,
        patch: Manifest,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Manifest:
        """Change fields of an object by a merge patch (RFC 7386), and return the object.

        Args:
            kind: Its kind.
            name: Its name.
            patch: The fields to change; None removes a field.
            namespace: The client's own if absent.
            dry_run: Validate only; nothing is stored.

        Raises:
            NotFound: It does not exist.
            Refused: A value is invalid, or the object has changed since `patch` was made, where
                that names a resourceVersion.

        """
        return self._session.ask(
            "patch",
            kind_of(kind),
            name,
            namespace,
            body=patch,
            params=_written(dry_run=dry_run),
            media="application/merge-patch+json",
        )

    def delete(
        self, kind: str | Kind, name: str, namespace: str | None = None, *, wait: float = 0
    ) -> None:
        """Delete an object.

        Args:
            kind: Its kind.
            name: Its name.
            namespace: The client's own if absent.
            wait: Seconds to wait until it is deleted, once its finalizers are removed; 0 returns
                at once.

        Raises:
            NotFound: It does not exist.
            TimedOut: Its finalizers are not removed yet.

        """
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        uid = self.get(kind, name, namespace)["metadata"]["uid"] if wait else ""
        self._session.ask("delete", kind_of(kind), name, namespace, body=body)
        if wait:
            what = f"{kind_of(kind).name} {name} to be deleted: it has finalizers"

            def gone(body: Manifest | None) -> bool | None:
                return True if body is None or body["metadata"]["uid"] != uid else None

            self.until(kind, name, gone, what=what, seconds=wait, namespace=namespace)

    def _placed(self, manifest: Manifest) -> Manifest:
        """Return the manifest with a namespace: its own, or the client's if it names none."""
        if not _kind(manifest).namespaced:
            return manifest
        meta = dict(manifest.get("metadata") or {})
        return {
            **manifest,
            "metadata": {**meta, "namespace": meta.get("namespace") or self.namespace},
        }


def _kind(manifest: Manifest) -> Kind:
    try:
        return kind_of(str(manifest.get("kind", "")))
    except ValueError as error:
        raise ValueError(f"{error}; its manifest cannot be written by this client") from None


def _written(*, dry_run: bool) -> dict[str, str]:
    return {
        "fieldManager": FIELD_MANAGER,
        "fieldValidation": "Strict",
        "dryRun": "All" if dry_run else "",
    }
