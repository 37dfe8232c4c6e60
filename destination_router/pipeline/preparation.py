"""Prepares a well-formed message for a connection's plugin.

The steps, in order:

0. consent, as the sender wrote it: no transformation may take a refusal away;
1. the router's transformations, whose result every connection sees;
2. `integrations` and the connection's subscriptions, which see the message unmasked, so that they
   can ask for fields that must not go out;
3. the connection's own transformations, which may also need fields that must not go out;
4. privacy. Mapping, plugin, delivery, dead letters and logs come later, and never see what it
   withheld.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, final

import msgspec

from destination_router.contract.messages import MESSAGE_TYPES, Message
from destination_router.contract.records import Note, Reject
from destination_router.pipeline.consent import Consent
from destination_router.pipeline.decisions import Decision, Refusal, decided, message_type
from destination_router.pipeline.integrations import refusal
from destination_router.pipeline.normalise import Normalised
from destination_router.pipeline.paths import everything
from destination_router.pipeline.privacy.hipaa import Privacy, Withheld
from destination_router.pipeline.subscriptions.subscriptions import Subscription
from destination_router.pipeline.transformations.steps import Transformations, apply_step

_BROWSERS = "web"
_NO_STEPS = Transformations(())


@final
class Ready(msgspec.Struct, frozen=True):
    """A message that may be mapped.

    Attributes:
        message: the message as the plugin may see it.
        notes: what was done to it so far.
        subscriptions: the numbers, from 0, of the subscriptions that took it.
    """

    message: Message
    notes: tuple[Note, ...]
    subscriptions: tuple[int, ...]


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What one step did to a message, for people to look at.

    Attributes:
        step: its place in the configuration: `transformations.0.rename`; or `privacy`.
        before: the message before; None in HIPAA mode, because it is not masked yet.
        after: the message after, by the same rule; None also if the step dropped it. For
            `privacy`, what passes.
        notes: what was done.
        end: why the message ended here, if it did.
    """

    step: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    notes: tuple[Note, ...] = ()
    end: str = ""


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection does to messages before it maps them.

    Attributes:
        shared: the router's transformations.
        own: the connection's transformations.
        privacy: what it may see; None: everything.
        consent: what people must allow; None: nothing.
    """

    shared: Transformations = _NO_STEPS
    own: Transformations = _NO_STEPS
    privacy: Privacy | None = None
    consent: Consent | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it leaves every message as it is."""
        return not (self.shared.steps or self.own.steps) and self.privacy is None


class Preparation:
    """The steps between a well-formed message and a connection's plugin.

    Args:
        plugin: the plugin's name.
        names: the connection's names in `integrations`, the most specific first.
        calls: the calls for which the plugin has a hook.
        subscriptions: the connection's subscriptions.
        treatment: what it does to messages.
        client_side: whether browsers send their events to the vendor themselves.
    """

    def __init__(  # noqa: PLR0913 -- each is a part, by keyword
        self,
        *,
        plugin: str,
        names: Sequence[str],
        calls: Collection[type[Message]],
        subscriptions: Sequence[Subscription],
        treatment: Treatment,
        client_side: bool,
    ) -> None:
        self._plugin = plugin
        self._names = names
        self._calls = calls
        self._subscriptions = subscriptions
        self._conditions = [
            (number, subscription.holds) for number, subscription in enumerate(subscriptions)
        ]
        self._certain = {kind: _certain(subscriptions, kind) for kind in MESSAGE_TYPES.values()}
        self._shared = treatment.shared if treatment.shared.steps else None
        self._own = treatment.own if treatment.own.steps else None
        self._privacy = treatment.privacy
        self._consent = treatment.consent
        self._client_side = client_side

    def certain(self, call: type[Message]) -> tuple[int, ...] | None:
        """Return which subscriptions take every message of a call; None if it depends on more."""
        return self._certain[call]

    def prepare(self, normalised: Normalised) -> Ready | Decision:
        """Make a message ready, or say how it ended."""
        message, notes = normalised.message, normalised.notes
        try:
            # As the sender wrote it: no transformation may take a refusal away.
            if self._consent is not None and (denied := self._consent.refusal(message)):
                return self._ended(message, notes, denied)
            if self._shared is not None:
                done = self._shared.apply(message)
                notes = (*notes, *done.notes)
                if done.message is None:
                    return self._ended(message, notes, done.reason)
                message = done.message
            subscriptions = self._taking(message)
            if isinstance(subscriptions, str):
                return self._ended(message, notes, subscriptions)
            if self._own is not None:
                done = self._own.apply(message)
                notes = (*notes, *done.notes)
                if done.message is None:
                    return self._ended(message, notes, done.reason)
                message = done.message
            if self._privacy is None:
                return Ready(message, notes, subscriptions)
            kept, left_out = self._privacy.apply(message)
            return Ready(kept, (*notes, *left_out), subscriptions)
        except Withheld as withheld:
            return self._ended(message, notes, f"privacy: {withheld}")
        except Reject as reject:
            said = Refusal(reject.code, reject.detail)
            return self._blind(decided(message, "rejected", reject=said, notes=notes))

    def prepare_again(
        self, normalised: Normalised, subscriptions: Sequence[int]
    ) -> Ready | Decision:
        """Prepare a message again that was prepared once and then kept as a dead letter.

        It is neither transformed nor masked again, but checked against today's lists.
        """
        message = normalised.message
        if self._privacy is None:
            raise AssertionError  # only connections in HIPAA mode seal
        known = tuple(number for number in subscriptions if number < len(self._subscriptions))
        try:
            kept, notes = self._privacy.reapply(message)
            if not known:
                reason = "the subscription that took it is gone"
                return decided(message, "filtered", reason=reason, notes=notes)
            return Ready(kept, notes, known)
        except Withheld as withheld:
            return decided(message, "filtered", reason=f"privacy: {withheld}")
        except Reject as reject:
            said = Refusal(reject.code, reject.detail)
            return decided(message, "rejected", reject=said)

    def steps(self, normalised: Normalised) -> list[StepTaken]:
        """Take a message through every step, up to its end, and show it before and after each.

        In HIPAA mode, only its state after privacy is shown. The lists apply to the result of the
        steps, so an earlier check against them would show what a later step masks or deletes.
        """
        taken: list[StepTaken] = []
        message = normalised.message
        if self._consent is not None and self._consent.refusal(message):
            return taken
        for steps in (self._shared, self._own):
            # As in `prepare`: what no subscription takes comes no further.
            if steps is self._own and isinstance(self._taking(message), str):
                return taken
            for step in () if steps is None else steps.steps:
                before = self._shown(message)
                try:
                    done = apply_step(step, message)
                except Reject as reject:
                    return [
                        *taken,
                        StepTaken(step=step.where, before=before, after=None, end=str(reject)),
                    ]
                after = None if done.message is None else self._shown(done.message)
                taken.append(
                    StepTaken(
                        step=step.where,
                        before=before,
                        after=after,
                        notes=done.notes,
                        end=done.reason or "",
                    )
                )
                if done.message is None:
                    return taken
                message = done.message
        if self._privacy is not None:
            taken.append(self._privacy_step(message))
        return taken

    def steps_of_sealed(self, kept: Message) -> list[StepTaken]:
        """List the steps that a message took before it was sealed, and show what passed."""
        names = [
            step.where
            for steps in (self._shared, self._own)
            for step in (() if steps is None else steps.steps)
        ]
        taken = [StepTaken(step=name, before=None, after=None) for name in names]
        return [*taken, StepTaken(step="privacy", before=None, after=everything(kept))]

    def _privacy_step(self, message: Message) -> StepTaken:
        assert self._privacy is not None  # noqa: S101 -- the caller asked
        try:
            kept, notes = self._privacy.apply(message)
        except (Withheld, Reject) as end:
            return StepTaken(step="privacy", before=None, after=None, end=str(end))
        return StepTaken(step="privacy", before=None, after=everything(kept), notes=notes)

    def _shown(self, message: Message) -> dict[str, Any] | None:
        return everything(message) if self._privacy is None else None

    def _taking(self, message: Message) -> tuple[int, ...] | str:
        """Return which subscriptions take a message, or why none does."""
        if reason := refusal(message, self._names):
            return reason
        kind = type(message)
        if kind not in self._calls:
            return f"{self._plugin} has no use for {message_type(message)} calls"
        if self._client_side and message.channel == _BROWSERS:
            return f"clientSide: browsers send it to {self._plugin} themselves"
        subscriptions = self._certain[kind]
        if subscriptions is None:
            conditions = self._conditions
            subscriptions = tuple(at for at, holds in conditions if holds is None or holds(message))
        return subscriptions or "no subscription of the connection takes it"

    def _ended(self, message: Message, notes: tuple[Note, ...], reason: str | None) -> Decision:
        return self._blind(decided(message, "filtered", reason=reason, notes=notes))

    def _blind(self, decision: Decision) -> Decision:
        """Mask whose message it was: one that ended before privacy is also reported."""
        return decision if self._privacy is None else masked_decision(decision, self._privacy)


def _certain(subscriptions: Sequence[Subscription], kind: type[Message]) -> tuple[int, ...] | None:
    """Return which subscriptions take every message of a call; None if it depends on more."""
    verdicts = [
        True if subscription.holds is None else subscription.holds.verdict(kind)
        for subscription in subscriptions
    ]
    if None in verdicts:
        return None
    return tuple(number for number, taken in enumerate(verdicts) if taken)


def masked_decision(decision: Decision, privacy: Privacy) -> Decision:
    """Mask the ids in a decision about an unmasked message."""
    keys = privacy.keys
    user, anonymous = decision.user_id, decision.anonymous_id
    return msgspec.structs.replace(
        decision,
        message_id=keys.mask_message_id(decision.message_id) if decision.message_id else "",
        user_keys=tuple(keys.mask(key) for key in decision.user_keys),
        user_id=None if user is None else keys.mask(user),
        anonymous_id=None if anonymous is None else keys.mask(anonymous),
        person=(),
    )
