"""Read what S3 has of a model's record: the object that is to be stored next, or the newest one. It does I/O."""

from modelyard.api.history import RecordedEntry
from modelyard.api.record import LIMIT, digest_of, folder, name, number_in
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import Invalid, ModelyardError
from modelyard.kube.names import UID_TAG
from modelyard.ports import Tenant, TrackedModel
from modelyard.registered_model.observation import RecordSeen
from modelyard.registered_model.record import chain

__all__ = ["look"]


async def look(model: RegisteredModel, tracked: TrackedModel | None, tenant: Tenant) -> RecordSeen:
    """Read what the record's next step needs: at most one object.

    A status that names no record was lost, or comes from an earlier release: what S3 has is listed. No
    entry is made before the model is ours in MLflow, so a new object costs no request.

    Raises:
        ModelyardError: The newest entry could not be read. What goes wrong with one that is to be stored is a value.

    """
    place = f"s3://{tenant.reach.bucket}/{folder(tenant.reach.folder, model.metadata.uid)}"
    if model.status.record is None:
        if model.metadata.deletion_timestamp is not None:
            return RecordSeen(place)
        is_ours = tracked is not None and tracked.tags.get(UID_TAG) == model.metadata.uid
        return RecordSeen(place, head=await _head(place, tenant) if is_ours else RecordedEntry(number=0))
    links = chain(model)
    if not links:
        return RecordSeen(place)
    try:
        return RecordSeen(place, content=await tenant.store.read(place + name(links[0].number), LIMIT))
    except ModelyardError as error:
        return RecordSeen(place, error=error)


async def _head(place: str, tenant: Tenant) -> RecordedEntry:
    there = await tenant.store.usage(place)
    if there is None or not there.objects:
        return RecordedEntry(number=0)
    last = max((number_in(each.path) or 0 for each in await tenant.store.objects(place)), default=0)
    content = await tenant.store.read(place + name(last), LIMIT) if last else None
    if last and content is None:
        raise Invalid("S3", "read object", place + name(last), "it is listed and not there")
    return RecordedEntry(number=last, digest=digest_of(content) if content is not None else None)
