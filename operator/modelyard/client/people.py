"""What people decide about a stage: they approve or reject a version, resume its rollout or give
it up, or override what is asked of it.
"""

from datetime import datetime, timedelta

from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.client import aborting, approving, oneself, overriding, rollouts, waiting
from modelyard.client.kube import Kube
from modelyard.client.progress import Change, asked_for
from modelyard.client.versions import ModelHandle

__all__ = ["People"]


class People:
    """The part of `client.models` in which people decide."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def _model(self, name: str) -> ModelHandle:
        return ModelHandle(self._kube, self._kube.get("RegisteredModel", name))

    def approve(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        gate: str = "",
        comment: str = "",
        evidence: str = "",
    ) -> ModelApproval:
        """Approve a version for a stage, as the user who asks; what they said of it before is
        replaced.

        Args:
            name: The model.
            version: The version; its digest is that of its record.
            stage: The stage.
            gate: The gate; the stage's gate `approvals` if absent.
            comment: Why.
            evidence: Where it can be read why, such as a URL.

        Raises:
            NotFound: There is no such version, stage or gate.
            Refused: It would not count: the user asked for the version, or registered it.
            NotAllowed: Verb `approve` on `registeredmodels/<stage>`; with a gate `attest` on
                `registeredmodels/<stage>/<gate>`.

        """
        saying = approving.Saying(version, stage, Decision.APPROVE, gate, comment, evidence)
        return approving.decide(self._kube, self._model(name).object, saying)

    def reject(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        gate: str = "",
        comment: str = "",
        evidence: str = "",
    ) -> ModelApproval:
        """Reject a version for a stage, as the user who asks: it fails the gate. Arguments and
        errors as of `approve`.
        """
        saying = approving.Saying(version, stage, Decision.REJECT, gate, comment, evidence)
        return approving.decide(self._kube, self._model(name).object, saying)

    def resume(
        self,
        name: str,
        stage: str,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Have a rollout in steps continue that is at a pause, and follow it to its end or to the
        next pause.

        Args:
            name: The model.
            stage: The stage.
            seconds: How long to wait; 0: not at all. Absent: 900, and as long as its holds take;
                the next pause ends the wait.
            seen: Called with every state of the model.

        Raises:
            NotFound: There is no such stage.
            Refused: It is not at a pause, has been resumed already, or has changed since it was
                read: look again.
            NotAllowed: Verb `promote` on `registeredmodels/<stage>`.
            Paused: It is at the next pause.
            Failed: The version was rejected; the stable one is still serving.
            TimedOut: It is still on its way.

        """
        patch = rollouts.resume(self._model(name).object, stage)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        change = asked_for(model.object, stage)
        return waiting.changed(
            model, (change,), f"to make {change.version} effective in {stage}", seconds, seen
        )

    def abort(
        self,
        name: str,
        stage: str,
        *,
        reason: str = "",
        seconds: float = 900,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Give up the version that a stage is on its way to, or has rejected: its spec asks for the
        effective one, which stays.

        Of a refresh it is the runtime that stays: `attempt` is set back.

        Args:
            name: The model.
            stage: The stage.
            reason: Why, at most 256 characters. The reason of an earlier change is removed.
            seconds: How long to wait until nothing of the candidate is left; 0: not at all.
            seen: Called with every state of the model.

        Raises:
            NotFound: There is no such stage.
            Refused: Nothing is under way there, or an override has put there what the stage has.
            NotAllowed: Verb `promote` on `registeredmodels/<stage>`.
            TimedOut: It is still on its way.

        """
        there = self._model(name).object
        found = aborting.abort(there, stage)
        wanted = dict(found.wanted)
        if not found.is_refresh:
            wanted |= {"reason": reason or None, **oneself.requester(self._kube, there, stage)}
        patch = {"spec": {"stages": {stage: wanted}}}
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        return waiting.changed(
            model,
            (found.change(model.object, stage),),
            f"to give up {found.given_up}",
            seconds,
            seen,
        )

    def override(
        self,
        name: str,
        version: str,
        stage: str,
        *,
        reason: str,
        until: datetime | timedelta = overriding.USUAL,
        seconds: float = 900,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Put a registered version into a stage at once, without `from` and gates, and wait until
        it serves.

        When the override ends, nothing switches: the version keeps serving until a person decides.

        Args:
            name: The model.
            version: A registered version.
            stage: The stage.
            reason: Why, for the history and the event.
            until: When it ends, or how long it is in force: a day at most.
            seconds: How long to wait; 0: not at all.
            seen: Called with every state of the model.

        Raises:
            ValueError: There is no reason; or the end is past, more than a day away, or without a
                time zone.
            NotFound: There is no such stage or version.
            Refused: The version is not registered, or its override has been in force for a day.
            NotAllowed: Verb `override` on `registeredmodels/<stage>`.
            Failed: Its pods cannot serve it; the stable version is still serving.
            TimedOut: It is still on its way.

        """
        asked = overriding.asked(version, reason, until)
        overriding.check(self._model(name).object, stage, asked)
        model = ModelHandle(
            self._kube, self._kube.patch("RegisteredModel", name, overriding.patch(stage, asked))
        )
        changes = (Change(stage, version, model.metadata.generation),)
        return waiting.changed(model, changes, f"to put {version} into {stage}", seconds, seen)

    def end_override(self, name: str, stage: str) -> ModelHandle:
        """Take the override off a stage. Nothing switches: what it put there keeps serving until a
        person decides.

        To make it the version, `set_stage` it. To go back, raise the stage's `attempt`, as
        `modelyard rollback` does.

        Raises:
            NotFound: There is no such stage, or it has no override.
            NotAllowed: Verb `override` on `registeredmodels/<stage>`.

        """
        overriding.ends(self._model(name).object, stage)
        return ModelHandle(
            self._kube, self._kube.patch("RegisteredModel", name, overriding.end_patch(stage))
        )
