"""One connection: a plugin with its settings, and its decision about each message. Pure.

The steps are in `Connection.decide`, in order. Every message ends as exactly one `Decision`. A
message that several subscriptions take is mapped once for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, TypeAlias, cast, final

import msgspec
from msgspec.structs import force_setattr, replace

from destination_router.config.origins import is_origin, plain_origin
from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.messages import (
    MESSAGE_TYPES,
    ContextPart,
    Identify,
    Message,
    forget_what_was_asked,
    order_keys,
    revised,
    unasked_names,
    wire_json,
)
from destination_router.contract.records import HttpRequest, Ignored, Json, Note, Outcome, Reject
from destination_router.faults import PASSED_ON, plain_code, whereabouts
from destination_router.pipeline.answers import (
    UnfitAnswer,
    check_ignored,
    check_records,
    contents,
    is_unicode,
    passes_at_a_glance,
)
from destination_router.pipeline.consent import Consent
from destination_router.pipeline.decisions import (
    TYPE_NAMES,
    Decision,
    Refusal,
    decided,
    joined,
    leaves_user_id_out,
    message_type,
    personal,
)
from destination_router.pipeline.integrations import says_nothing
from destination_router.pipeline.message_root import Root
from destination_router.pipeline.normalise import (
    Normalised,
    decode_json,
    mended,
    normalise,
    well_formed,
    well_formed_all,
    well_formed_already,
    without_surrogates,
)
from destination_router.pipeline.paths import everything
from destination_router.pipeline.preparation import (
    Preparation,
    Ready,
    StepTaken,
    Treatment,
    masked_decision,
)
from destination_router.pipeline.privacy.config import is_private, load_privacy
from destination_router.pipeline.privacy.masking import masking_keys
from destination_router.pipeline.privacy.sealing import is_marked, opened, sealed
from destination_router.pipeline.subscriptions.subscriptions import (
    Subscription,
    SubscriptionSource,
    compile_subscriptions,
    subscription_sources,
)
from destination_router.pipeline.transformations.operations import Surroundings
from destination_router.pipeline.transformations.steps import Transformations
from destination_router.pipeline.wire import id_of, members
from destination_router.plugins.loading import LoadedPlugin, PluginError
from destination_router.settings.errors import Problem, SettingsError, TableError
from destination_router.settings.redaction import hide, shown_request
from destination_router.settings.validation import load_settings, secret_values

__all__ = [
    "AT_ONCE",
    "Connection",
    "Decision",
    "Ended",
    "Mapped",
    "Refusal",
    "StepTaken",
    "compile_treatment",
    "configured",
    "message_type",
    "wordless",
]

AT_ONCE = 100
"""How many messages take each step together, if there are several.

An interpreter mostly waits for its processor, for code and branches that are not in its caches. If
several messages take a step in turn, the caches hold that step. Of 100 messages, each takes a
quarter less time than one by itself, and a tenth less than of 20.
"""

_BYTES_AT_ONCE = 2 * 2**20
"""If they are longer than this together, fewer do: decoded, they take six times as much memory."""

_Hook: TypeAlias = Callable[[Message, Any], Any]
"""Takes a message and the settings, as a plugin configured them."""

_NO_TREATMENT = Treatment()
_notes = attrgetter("notes")
_copy_of: Callable[[HttpRequest], HttpRequest] = HttpRequest.__copy__  # type: ignore[attr-defined]
_KNOWN_CODES = frozenset(
    (
        "truncated",
        "renamed",
        "joined",
        "converted",
        "dropped",
        "unsafe_identity",
        "invalid_timestamp",
    )
)
"""The codes of notes that every destination may use, which need no closer look."""


@final
class Mapped(msgspec.Struct, frozen=True, gc=False):
    """A message with the requests that the plugin made of it, for a `Decision` to send.

    Attributes:
        source: the message before any mapping. Its order and ids count.
        message: the message as the plugin saw it.
        requests: the requests as the plugin wrote them; at least one.
        contents: the `content` of each.
        notes: what was done to the message before.
    """

    source: Message
    message: Message
    requests: list[HttpRequest]
    contents: list[bytes]
    notes: tuple[Note, ...]

    @property
    def anonymous_id(self) -> str | None:
        """The message's, if it has one."""
        source: Message = self.source
        return source.anonymous_id


@final
class Ended(msgspec.Struct, frozen=True, gc=False):
    """A message whose decision is made before a step that others still take."""

    made: Mapped | Decision


class Connection:
    """A plugin with valid settings, under its own name.

    Args:
        name: its name in the configuration, which senders may use in `integrations`.
        plugin: the plugin, loaded only for this connection.
        settings: as configured. References, defaults and validation are done here.
        takes: which messages it takes and how their fields are mapped, as configured; if there
            are none, the plugin's defaults.
        treatment: what it does to messages before it maps them.
        client_side: whether browsers load the destination themselves and send it their events: a
            message of the `web` channel would arrive twice.
        sources: the names of the sources whose messages it takes; None: all.

    Raises:
        SettingsError: the plugin's schema or its `configure` refuses the settings.
        TableError: a subscription or mapping does not compile.
        PluginError: `configure`, or another hook that the settings alone decide, is broken.
    """

    def __init__(  # noqa: PLR0913 -- each is a table of the configuration
        self,
        name: str,
        plugin: LoadedPlugin,
        settings: Mapping[str, Json],
        takes: Sequence[SubscriptionSource] = (),
        *,
        treatment: Treatment = _NO_TREATMENT,
        client_side: bool = False,
        sources: Collection[str] | None = None,
    ) -> None:
        self.name = name
        self._sources = None if sources is None else frozenset(sources)
        self.client_side = client_side
        self.tell_plugin_error: Callable[[BaseException], None] | None = None
        """Gets a plugin's exceptions, for its author. Their words may be personal."""
        self.plugin = plugin
        self.given = dict(settings)
        """The settings as they were configured, references unresolved."""
        schema = plugin.hook.settings_schema()
        valid = load_settings(schema, settings)
        self.secrets = secret_values(schema, valid)
        public = {n: value for n, value in valid.items() if not secret_values(schema, {n: value})}
        self.fingerprint = _fingerprint(name, plugin.name, plugin.origin, public)
        """Equal for connections that decide every message the same. No secret went into it."""
        self.settings = _configure(plugin, valid, self.secrets)
        self.origins: tuple[str, ...] | None = self._stated_origins()
        """The origins that its requests go to; None if its plugin does not say."""
        self.cautions = self._stated_texts("cautions")
        """What its settings may fail to do, in its plugin's words."""
        more_names = self._stated_texts("more_display_names")
        self.treatment = treatment = _known_as(treatment, more_names)
        self._privacy = treatment.privacy
        self._as_sent = self._takes_any_type()
        self.window = self._stated_window()
        """How many messages at most `pack` wants to see at once; None if it does not say."""
        self._has_own_name = name.casefold() != plugin.name.casefold()
        self._hooks = {
            call: _only_hook(plugin, f"on_{name}") for name, call in MESSAGE_TYPES.items()
        }
        self._subscriptions = compile_subscriptions(takes, plugin, self.settings)
        self._preparation = Preparation(
            plugin=plugin.name,
            names=(*_names(name, plugin), *more_names),
            calls=frozenset(call for call, hook in self._hooks.items() if hook is not None),
            subscriptions=self._subscriptions,
            treatment=treatment,
            client_side=client_side,
        )
        self._direct = self._direct_hooks()

    @property
    def gives_other_ids(self) -> bool:
        """Whether messages may go out under other ids than they came with, masked ids aside."""
        treatment = self.treatment
        return bool(treatment.shared.steps or treatment.own.steps) or any(
            subscription.mapping is not None for subscription in self._subscriptions
        )

    def _takes_any_type(self) -> bool:
        # A field of the wrong type cannot be masked, so HIPAA mode rejects it.
        if self._privacy is not None or "takes_any_type" not in self.plugin.capabilities:
            return False
        return self._stated("takes_any_type") is True

    def _stated(self, hook: str) -> Any:
        """Ask a hook that the settings alone decide."""
        try:
            return getattr(self.plugin.hook, hook)(settings=self.settings)
        except PASSED_ON:
            raise
        except BaseException as error:
            raise self._broken_hook(hook, f"failed: {whereabouts(error)}") from error

    def _broken_hook(self, hook: str, words: str) -> PluginError:
        return PluginError(f"plugin {self.plugin.name!r} of {self.plugin.origin}: {hook} {words}")

    def _stated_window(self) -> int | None:
        if "window" not in self.plugin.capabilities:
            return None
        window = self._stated("window")
        if type(window) is int and window > 0:
            return window
        raise self._broken_hook("window", "did not return a whole number of messages from 1 up")

    def _stated_texts(self, hook: str) -> list[str]:
        if hook not in self.plugin.capabilities:
            return []
        texts = self._stated(hook)
        # Text is a sequence of text too: it would be taken for each of its letters.
        if isinstance(texts, (list, tuple)) and all(map(is_unicode, texts)):
            return [*texts]
        raise self._broken_hook(hook, "did not return a list of text")

    def _stated_origins(self) -> tuple[str, ...] | None:
        if "origins" not in self.plugin.capabilities:
            return None
        origins = self._stated_texts("origins")
        if not all(map(_has_origin, origins)):
            raise self._broken_hook(
                "origins", "returned one that is not https://host or http://host"
            )
        return tuple(origins)

    def _direct_hooks(self) -> dict[type[Message], _Hook]:
        """Find the calls that go straight to their hook, with only `integrations` in between.

        Most connections have such calls: one subscription takes all of them without a mapping, and
        nothing is done to them before. This saves 9,000 instructions for each message.
        """
        if self.client_side or not self.treatment.is_empty or self.treatment.consent is not None:
            return {}
        taken = {call: self._preparation.certain(call) for call in self._hooks}
        return {
            call: hook
            for call, hook in self._hooks.items()
            if hook is not None
            and (numbers := taken[call]) is not None
            and len(numbers) == 1
            and self._subscriptions[numbers[0]].mapping is None
        }

    def takes_source(self, source: str | None) -> bool:
        """Say whether it takes messages of a source. One from a file, without a source, passes."""
        return self._sources is None or source is None or source in self._sources

    def decide(
        self, raw: bytes, *, message_id: str | None = None, source: str | None = None
    ) -> Decision:
        """Decide one message. Never raises, whatever the message.

        Args:
            raw: the message as wire JSON.
            message_id: the id to use if it has none.
            source: its sender's name, if that is known.
        """
        if self._sources is not None and not self.takes_source(source):
            reason = f"source {source} is not among the connection's sources"
            elsewhere = Decision(message_id=id_of(raw), result="filtered", reason=reason)
            privacy = self._privacy
            return elsewhere if privacy is None else masked_decision(elsewhere, privacy)
        read = self.read(raw, message_id=message_id)
        return self.concluded(read, self.answer(read))

    def decide_message(self, normalised: Normalised) -> Decision:
        """Decide a message that is well-formed already."""
        return self._written(self._made(normalised))

    def decide_all(
        self,
        raws: Sequence[bytes],
        sources: Sequence[str | None] | None = None,
        roots: Sequence[Root | None] | None = None,
    ) -> list[Decision]:
        """Decide several messages as `decide` does, but step by step.

        Args:
            raws: the messages as wire JSON.
            sources: their senders' names, if those are known.
            roots: as `decode_messages` knows them.
        """
        if self._sources is not None and sources is not None:
            pairs = zip(raws, sources, strict=True)
            return [self.decide(raw, source=source) for raw, source in pairs]
        decisions: list[Decision] = []
        for some in _together(raws):
            start = len(decisions)
            read = self.read_all(some, None if roots is None else roots[start : start + len(some)])
            decisions += self.concluded_all(read, self.answers(read))
        return decisions

    def map(self, raw: bytes, *, message_id: str | None = None) -> Mapped | Decision:
        """Decide as `decide` does, but return only the requests if there are any."""
        read = self.read(raw, message_id=message_id)
        return self.mapped(read, self.answer(read))

    # The steps of `map`, for a caller that takes several messages through together.

    def read(self, raw: bytes, *, message_id: str | None = None) -> Message | Ended:
        """First step: decode a message. One that needs mending is decided at once."""
        try:
            subscriptions = None if self._privacy is None else self._seal_of(raw)
            message = well_formed(raw)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return Ended(self._unreadable(raw, message_id, error))
        if message is None:
            return self._read_slowly(raw, message_id, subscriptions)
        if subscriptions is not None:
            return Ended(self._made(Normalised(message), subscriptions))
        return message

    def read_all(
        self, raws: Sequence[bytes], roots: Sequence[Root | None] | None = None
    ) -> list[Message | Ended]:
        """First step for several messages."""
        if self._privacy is not None:
            return [self.read(raw) for raw in raws]
        try:
            found = well_formed_all(raws, roots)
        except PASSED_ON:
            raise
        except BaseException:  # noqa: BLE001 -- one by one, the others do without it
            return [self.read(raw) for raw in raws]
        return [
            self._read_slowly(raw) if message is None else message
            for message, raw in zip(found, raws, strict=True)
        ]

    def _read_slowly(
        self,
        raw: bytes,
        message_id: str | None = None,
        subscriptions: Sequence[int] | None = None,
    ) -> Ended:
        """Mend a message and decide it."""
        try:
            normalised = mended(raw, message_id, as_sent=self._as_sent)
            return Ended(self._made(normalised, subscriptions))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return Ended(self._unreadable(raw, message_id, error))

    def read_all_decoded(self, messages: Sequence[Message]) -> list[Message | Ended]:
        """First step for messages that were decoded with others (`well_formed_already`)."""
        if self._privacy is not None:
            return [self.read(wire_json(message)) for message in messages]
        read: list[Message | Ended] = []
        for message in messages:
            try:
                found = well_formed_already(message)
            except PASSED_ON:
                raise
            except BaseException as error:  # noqa: BLE001 -- no message may end the process
                read.append(Ended(self._unreadable(wire_json(message), None, _failed(error))))
            else:
                read.append(self.read(wire_json(message)) if found is None else found)
        return read

    def answer(self, read: Message | Ended) -> Any:
        """Second step: prepare a message and ask the plugin, often directly through its hook."""
        if type(read) is Ended:
            return read
        message: Message = read
        hook = self._direct.get(type(message))
        if hook is None or not says_nothing(message.integrations):
            return Ended(self._made(Normalised(message)))
        try:
            return hook(message, self.settings)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not stop its neighbours
            return Ended(self._unanswered(error, message, ()))

    def answers(self, read: Sequence[Message | Ended]) -> list[Any]:
        """Do the same as `answer` for several messages, with a call less for each of most."""
        answers: list[Any] = []
        direct, settings = self._direct, self.settings
        message: Message
        last: type[Message] | None = None
        hook: _Hook | None = None
        for one in read:
            if type(one) is Ended:
                answers.append(one)
                continue
            message = one
            if type(message) is not last:
                last = type(message)
                hook = direct.get(last)
            if hook is None or not says_nothing(message.integrations):
                answers.append(self.answer(message))
                continue
            try:
                answers.append(hook(message, settings))
            except PASSED_ON:
                raise
            except BaseException as error:  # noqa: BLE001 -- as in `answer`
                answers.append(Ended(self._unanswered(error, message, ())))
        return answers

    def mapped(self, read: Message | Ended, answer: Any) -> Mapped | Decision:
        """Third step: check the plugin's answer."""
        if type(answer) is Ended or type(read) is Ended:
            return cast("Ended", answer).made
        try:
            return self._looked_through(answer, read, read, ())
        except UnfitAnswer as unfit:
            return self._unfit(read, read, (), unfit)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return self._broken(read, error, is_masked=False)

    def concluded(
        self, read: Message | Ended, answer: Any, room: bytearray | None = None
    ) -> Decision:
        """Third step, for a caller that wants no less than the decision.

        Args:
            read: the message.
            answer: the plugin's.
            room: where bodies are written to be checked, if several messages share it.
        """
        if type(answer) is Ended or type(read) is Ended:
            return self._written(cast("Ended", answer).made)
        try:
            if isinstance(answer, list) and answer:
                room = bytearray() if room is None else room
                if len(answer) > 1 or not passes_at_a_glance(answer[0], room):
                    contents(answer)
                    check_records(answer)
                return self._sending(answer, read, read, ())
            return self._sending_nothing(answer, read, read, ())
        except UnfitAnswer as unfit:
            return self._unfit(read, read, (), unfit)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return self._broken(read, error, is_masked=False)

    def concluded_all(
        self, read: Sequence[Message | Ended], answers: Sequence[Any]
    ) -> list[Decision]:
        """Third step for several messages: what `concluded` makes of each.

        Nearly all have a single request, which passes at a glance, and fields that were all read:
        what `_sending` does with such a message stands here too, which spares it five calls.
        """
        decisions: list[Decision] = []
        room = bytearray()
        looks_closer = self._privacy is not None or bool(self.secrets)
        message: Message
        signed: HttpRequest
        for one, answer in zip(read, answers, strict=True):
            try:
                if (
                    looks_closer
                    or type(answer) is not list
                    or len(answer) != 1
                    or type(one) is Ended
                    or not passes_at_a_glance(answer[0], room)
                    or unasked_names(one)
                ):
                    decisions.append(self.concluded(one, answer, room))
                    continue
                message = one
                signed = _copy_of(answer[0])
                notes = signed.notes
                if notes and not _have_known_codes(notes):
                    decisions.append(self.concluded(one, answer, room))
                    continue
                message_id, user_id = message.message_id, message.user_id
                anonymous_id = message.anonymous_id
                user_keys = order_keys(message_id, user_id, anonymous_id)
                force_setattr(signed, "message_ids", (message_id,))
                force_setattr(signed, "user_key", user_keys[0])
                kind = type(message)
                part: ContextPart = message.context_part
                person = personal(message) if kind is Identify or part.traits else ()
                decisions.append(
                    Decision(
                        message_id=message_id,
                        result="requests",
                        requests=(signed,),
                        notes=notes,
                        user_keys=user_keys,
                        user_id=user_id,
                        anonymous_id=anonymous_id,
                        type=TYPE_NAMES[kind],
                        person=person,
                    )
                )
            except PASSED_ON:
                raise
            except BaseException:  # noqa: BLE001 -- it says what failed, and fails no other message
                decisions.append(self.concluded(one, answer, room))
        return decisions

    def _made(
        self, normalised: Normalised, subscriptions: Sequence[int] | None = None
    ) -> Mapped | Decision:
        """Prepare and map a message. `subscriptions` are those of one that this router sealed."""
        try:
            if subscriptions is None:
                return self._mapped(self._preparation.prepare(normalised))
            return self._mapped(self._preparation.prepare_again(normalised, subscriptions))
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return self._broken(normalised.message, error, is_masked=subscriptions is not None)

    def _broken(self, message: Message, error: BaseException, *, is_masked: bool) -> Decision:
        """Reject a message at which a step failed that should never fail."""
        said = _failed(error)
        refusal = Refusal(said.code, said.detail)
        decision = decided(message, "rejected", reject=refusal)
        privacy = self._privacy
        return decision if privacy is None or is_masked else masked_decision(decision, privacy)

    def _mapped(self, ready: Ready | Decision) -> Mapped | Decision:
        if type(ready) is not Ready:
            return ready
        message = self._addressed(ready.message) if self._has_own_name else ready.message
        if len(ready.subscriptions) == 1:
            return self._taken(self._subscriptions[ready.subscriptions[0]], message, ready.notes)
        subscriptions = [self._subscriptions[number] for number in ready.subscriptions]
        return joined(
            [
                (
                    subscription.where,
                    self._decision(self._taken(subscription, message, ready.notes)),
                )
                for subscription in subscriptions
            ]
        )

    def steps(self, raw: bytes, *, message_id: str | None = None) -> list[StepTaken]:
        """Show a message before and after each transformation and after privacy, for `try`."""
        if self.treatment.is_empty:
            return []
        try:
            if self._seal_of(raw) is not None:
                return []
            return self._preparation.steps(
                normalise(raw, message_id=message_id, as_sent=self._as_sent)
            )
        except Reject:
            return []

    def explained(self, raw: bytes) -> list[StepTaken]:
        """Add to `steps` which subscriptions take the message and what their mappings make of it.

        This is for people to look at. What a mapping sees may be shown, because it comes after
        privacy. For a sealed message, the steps before privacy have only their names.
        """
        taken = self.steps(raw)
        try:
            subscriptions = self._seal_of(raw)
            normalised = normalise(raw, as_sent=self._as_sent)
            if subscriptions is None:
                ready = self._preparation.prepare(normalised)
            else:
                ready = self._preparation.prepare_again(normalised, subscriptions)
        except Reject:
            return taken
        if type(ready) is not Ready:
            if ready.reason is not None and not any(step.end for step in taken):
                end = StepTaken(step="subscription", before=None, after=None, end=ready.reason)
                taken.append(end)
            return taken
        if subscriptions is not None:
            taken = self._preparation.steps_of_sealed(ready.message)
        for number in ready.subscriptions:
            taken += self._mapping_step(self._subscriptions[number], ready.message)
        return taken

    def _mapping_step(self, subscription: Subscription, message: Message) -> list[StepTaken]:
        where = subscription.where or "subscription"
        taken = [StepTaken(step=where, before=None, after=None)]
        if subscription.mapping is None:
            return taken
        step, before = f"{where} mapping", everything(message)
        try:
            mapped = subscription.mapping.apply(message)
        except Reject as reject:
            return [*taken, StepTaken(step=step, before=before, after=None, end=str(reject))]
        after = everything(mapped.message)
        # A field of the destination's own, such as its identity, is no part of a message.
        beside = {
            name: value
            for name, value in mapped.message.mapped.items()
            if name not in after or after[name] != value
        }
        after |= {"_mapped": beside} if beside else {}
        return [*taken, StepTaken(step=step, before=before, after=after, notes=mapped.notes)]

    def kept(self, raw: bytes) -> bytes:
        """Write what a dead letter may keep of a message: all of it, except in HIPAA mode.

        In HIPAA mode, that is the masked message, sealed so that it can be replayed. A message that
        cannot be masked, because it cannot be read or its event may not pass, leaves only its
        masked id.
        """
        privacy = self._privacy
        if privacy is None:
            return raw
        try:
            if self._seal_of(raw) is not None:
                return raw
            ready = self._preparation.prepare(normalise(raw))
            if not isinstance(ready, Decision):
                return sealed(ready.message, ready.subscriptions, self.name, privacy.keys)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- an unmasked message is not kept
            ready = self._unreadable(raw, None, error)
        return msgspec.json.encode({"messageId": ready.message_id})

    def kept_unread(self, raw: bytes) -> bytes:
        """Write what a dead letter may keep of an unread message: nothing in HIPAA mode."""
        return raw if self._privacy is None else b"{}"

    def told(self, outcome: Outcome) -> Outcome:
        """Turn an outcome into what may be kept: a plain code, and words without secrets.

        In HIPAA mode, no words are kept: a vendor's words may repeat what it was sent, or what it
        knows from elsewhere. A code is a label of metrics and a word in logs, and has to look like
        one.
        """
        if not outcome.code and not outcome.detail:
            return outcome
        if self._privacy is not None:
            return wordless(outcome)
        code = plain_code(outcome.code) if outcome.code else ""
        return replace(outcome, code=code, detail=hide(outcome.detail, self.secrets))

    def told_answer(self, text: str) -> str:
        """Turn a vendor's answer into what may be kept: in HIPAA mode, nothing."""
        return "" if self._privacy is not None else hide(text, self.secrets)

    def _seal_of(self, raw: bytes) -> tuple[int, ...] | None:
        """Return which subscriptions took a message that this router sealed; None for any other.

        Raises:
            Reject: the seal is not this router's.
        """
        privacy = self._privacy
        if privacy is None or not is_marked(raw):
            return None
        return opened(raw, self.name, privacy.keys)

    def _unreadable(self, raw: bytes, message_id: str | None, error: BaseException) -> Decision:
        """Reject a message that cannot be read, because of what reading it raised."""
        reject = error if isinstance(error, Reject) else _failed(error)
        decision = Decision(
            message_id=_readable_id(raw) or message_id or "",
            result="rejected",
            reject=Refusal(reject.code, reject.detail),
        )
        privacy = self._privacy
        return decision if privacy is None else masked_decision(decision, privacy)

    def pack(self, requests: list[HttpRequest]) -> list[HttpRequest]:
        """Let the plugin turn single requests into bulk requests, if it can."""
        if "pack" not in self.plugin.capabilities:
            return requests
        packed: list[HttpRequest] = self.plugin.hook.pack(requests=requests, settings=self.settings)
        return packed

    def shown(self, request: HttpRequest) -> dict[str, Any]:
        """Turn a request into what a person or a log may see, without secrets."""
        return shown_request(request, self.secrets)

    def _addressed(self, message: Message) -> Message:
        """Move a message's options for this connection under the plugin's own name.

        So a plugin finds its options without knowing what the connection is called.
        """
        options = message.options(self.name)
        if not options:
            return message
        others = {
            name: value
            for name, value in message.integrations.items()
            if name.casefold() != self.plugin.name.casefold()
        }
        return revised(message, integrations={**others, self.plugin.name: options})

    def _taken(
        self, subscription: Subscription, message: Message, notes: tuple[Note, ...]
    ) -> Mapped | Decision:
        """Map a message for one subscription."""
        if subscription.mapping is None:
            return self._ask(message, message, notes)
        try:
            mapped = subscription.mapping.apply(message)
        except Reject as reject:
            return self._rejected(message, notes, reject.code, reject.detail)
        return self._ask(mapped.message, message, (*notes, *mapped.notes))

    def _ask(self, message: Message, source: Message, notes: tuple[Note, ...]) -> Mapped | Decision:
        hook = self._hooks[type(message)]
        if hook is None:
            reason = f"{self.plugin.name} has no use for {message_type(message)} calls"
            return decided(source, "filtered", reason=reason, notes=notes)
        forget_what_was_asked(message)
        try:
            answer = hook(message, self.settings)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- a plugin's bug must not stop its neighbours
            return self._unanswered(error, source, notes)
        return self._looked_through(answer, message, source, notes)

    def _unanswered(
        self, error: BaseException, source: Message, notes: tuple[Note, ...]
    ) -> Decision:
        """Reject a message at which the plugin raised. `source` is the one before any mapping."""
        if isinstance(error, Reject):
            return self._rejected(source, notes, error.code, error.detail)
        if self.tell_plugin_error is not None:
            self.tell_plugin_error(error)
        return self._rejected(source, notes, "plugin_error", whereabouts(error))

    def _looked_through(
        self, requests: Any, message: Message, source: Message, notes: tuple[Note, ...]
    ) -> Mapped | Decision:
        try:
            if isinstance(requests, list) and requests:
                return Mapped(source, message, requests, contents(requests), notes)
            return self._sending_nothing(requests, message, source, notes)
        except UnfitAnswer as unfit:
            return self._unfit(message, source, notes, unfit)

    def _sending_nothing(
        self, answer: Any, message: Message, source: Message, notes: tuple[Note, ...]
    ) -> Decision:
        """Write the decision of an answer that holds no request.

        Raises:
            UnfitAnswer: it has to hold some.
        """
        if type(answer) is Ignored:
            return self._ignored(answer, source, notes)
        contents(answer)
        reason = f"{self.plugin.name} makes nothing of this {message_type(message)} call"
        return decided(source, "filtered", reason=reason, notes=notes)

    def _ignored(self, ignored: Ignored, source: Message, notes: tuple[Note, ...]) -> Decision:
        """Record why the plugin sends nothing, and what it left out on the way.

        Raises:
            UnfitAnswer: the plugin does not say why.
        """
        check_ignored(ignored)
        own = map(self._shown_note, ignored.notes)
        reason = self._shown_words(ignored.reason)
        return decided(source, "filtered", reason=reason, notes=(*notes, *own))

    def _unfit(
        self, message: Message, source: Message, notes: tuple[Note, ...], unfit: UnfitAnswer
    ) -> Decision:
        detail = f"on_{message_type(message)} {unfit}"
        return self._rejected(source, notes, "plugin_error", detail)

    def _written(self, mapped: Mapped | Decision) -> Decision:
        """Write the decision about a message that was taken as far as `mapped`. Never raises."""
        if type(mapped) is not Mapped:
            return mapped
        try:
            return self._decision(mapped)
        except PASSED_ON:
            raise
        except BaseException as error:  # noqa: BLE001 -- no message may end the process
            return self._broken(mapped.source, error, is_masked=True)

    def _decision(self, mapped: Mapped | Decision) -> Decision:
        if type(mapped) is not Mapped:
            return mapped
        source, message, notes = mapped.source, mapped.message, mapped.notes
        try:
            check_records(mapped.requests)
            return self._sending(mapped.requests, message, source, notes)
        except UnfitAnswer as unfit:
            return self._unfit(message, source, notes, unfit)

    def _sending(
        self,
        requests: list[HttpRequest],
        message: Message,
        source: Message,
        notes: tuple[Note, ...],
    ) -> Decision:
        """Write the decision to send a message's requests, which are signed. They are checked."""
        message_id, user_id, anonymous_id = source.message_id, source.user_id, source.anonymous_id
        part: ContextPart = source.context_part
        has_traits = type(source) is Identify or part.traits
        user_keys = order_keys(message_id, user_id, anonymous_id)
        first: HttpRequest = requests[0]
        own: Sequence[Note] = first.notes
        signed: tuple[HttpRequest, ...]
        if len(requests) == 1:  # as most have
            signed = (_signed(first, message_id, user_keys[0]),)
        else:
            signed = _all_signed(requests, message_id, user_keys[0])
            own = [*chain.from_iterable(map(_notes, requests))]
        if message is source:  # a mapping may read whatever it likes
            # In HIPAA mode, privacy has noted what it left out, without names that may be
            # personal.
            if self._privacy is None and (names := unasked_names(message)):
                own = [*own, *self._unread(names, own)]
        elif message.user_id != user_id:
            signed = _named(signed, own, message.user_id)
        if own:
            if self.secrets or not _have_known_codes(own):
                own = [*map(self._shown_note, own)]
            notes = (*notes, *own) if notes else tuple(own)
        return Decision(
            message_id=message_id,
            result="requests",
            requests=signed,
            notes=notes,
            user_keys=user_keys,
            user_id=user_id,
            anonymous_id=anonymous_id,
            type=TYPE_NAMES[type(source)],
            person=personal(source) if has_traits else (),
        )

    def _unread(self, names: Sequence[str], notes: Sequence[Note]) -> list[Note]:
        """Note the fields beyond a message's call that the plugin did not read."""
        noted = {note.path for note in notes}
        detail = f"{self.plugin.name} reads no such field of this call"
        return [Note("dropped", name, detail) for name in names if name not in noted]

    def _shown_note(self, note: Note) -> Note:
        code = plain_code(note.code, "noted")
        if not self.secrets:
            return note if code == note.code else Note(code, note.path, note.detail)
        return Note(code, hide(note.path, self.secrets), hide(note.detail, self.secrets))

    def _rejected(
        self, message: Message, notes: tuple[Note, ...], code: str, detail: str
    ) -> Decision:
        # A plugin writes both. The code may hold a user's value, and the detail a setting's.
        refusal = Refusal(plain_code(code), self._shown_words(detail))
        return decided(message, "rejected", reject=refusal, notes=notes)

    def _shown_words(self, words: object) -> str:
        """Make a plugin's words fit to be kept and shown, whatever it gave for them."""
        text = words if isinstance(words, str) else f"({type(words).__name__} in place of words)"
        return str(hide(without_surrogates(text), self.secrets))


def _together(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Cut messages into those that take each step together."""
    groups: list[Sequence[bytes]] = []
    for start in range(0, len(raws), AT_ONCE):
        some = raws[start : start + AT_ONCE]
        size = sum(map(len, some))
        if size <= _BYTES_AT_ONCE:
            groups.append(some)
            continue
        most = max(1, len(some) * _BYTES_AT_ONCE // size)
        groups += [some[at : at + most] for at in range(0, len(some), most)]
    return groups


def _failed(error: BaseException) -> Reject:
    """Describe an unexpected error, without its words."""
    return Reject("plugin_error", whereabouts(error))


def _have_known_codes(notes: Sequence[Note]) -> bool:
    note: Note
    for note in notes:  # noqa: SIM110 -- `all` takes three times as long for so few
        if type(note.code) is not str or note.code not in _KNOWN_CODES:
            return False
    return True


def wordless(outcome: Outcome) -> Outcome:
    """Reduce an outcome to what HIPAA mode may tell: no words, and no code that may be words."""
    code = plain_code(outcome.code) if outcome.code else ""
    return replace(outcome, code=code, detail="")


def configured(config: ConnectionConfig, plugin: LoadedPlugin) -> Connection:
    """Make the connection that a configuration describes, with its loaded plugin.

    Raises:
        TableError: its transformations or its privacy are wrong, or as `Connection`.
        SettingsError: as `Connection`.
        PluginError: as `Connection`.
    """
    connection = Connection(
        config.name,
        plugin,
        config.settings,
        subscription_sources(config),
        treatment=compile_treatment(config, plugin),
        client_side=config.client_side,
        sources=config.sources,
    )
    tables = msgspec.to_builtins(replace(config, settings={}))
    connection.fingerprint = _fingerprint(connection.fingerprint, tables)
    return connection


def _fingerprint(*parts: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


def compile_treatment(config: ConnectionConfig, plugin: LoadedPlugin) -> Treatment:
    """Compile what a connection does to messages before it maps them.

    Raises:
        TableError: everything that is wrong with its transformations or its privacy.
    """
    problems: list[Problem] = []
    privacy = keys = None
    try:
        privacy = load_privacy(config, plugin.name, _names(config.name, plugin))
        keys = masking_keys(config)
    except SettingsError as error:
        problems += error.problems
    around = Surroundings(connection=config.name, keys=keys, private=is_private(config))
    lists = []
    for steps, where in (
        (config.shared.transformations, "[transformations] "),
        (config.transformations, "transformations."),
    ):
        try:
            lists.append(Transformations(steps, around, where))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise TableError(list(dict.fromkeys(problems)))
    shared, own = lists
    consent = Consent(config.consent) if config.consent else None
    return Treatment(shared=shared, own=own, privacy=privacy, consent=consent)


def _names(name: str, plugin: LoadedPlugin) -> tuple[str, ...]:
    """List a connection's names for senders' `integrations`, the most specific first."""
    return tuple(dict.fromkeys((name, *plugin.display_names)))


def _known_as(treatment: Treatment, names: Sequence[str]) -> Treatment:
    """Tell privacy the connection's other names for senders, which its settings decide."""
    if treatment.privacy is None or not names:
        return treatment
    return replace(treatment, privacy=treatment.privacy.also_called(names))


def _only_hook(plugin: LoadedPlugin, name: str) -> _Hook | None:
    """Find a hook's only implementation once, which pluggy would look up for every message.

    The loader has checked that there is at most one, and that it is a plain function.
    """
    if name not in plugin.capabilities:
        return None
    (implementation,) = getattr(plugin.hook, name).get_hookimpls()
    function = implementation.function
    match implementation.argnames:
        case ("message", "settings"):
            return cast("_Hook", function)
        case ("settings", "message"):
            return lambda message, settings: function(settings, message)
        case ("message",):
            return lambda message, _: function(message)
        case ("settings",):
            return lambda _, settings: function(settings)
        case _:
            return lambda *_: function()


def _has_origin(url: str) -> bool:
    try:
        return is_origin(plain_origin(url))
    except ValueError:
        return False


def _configure(plugin: LoadedPlugin, settings: dict[str, Json], secrets: frozenset[str]) -> Any:
    if "configure" not in plugin.capabilities:
        return settings
    broken = f"plugin {plugin.name!r} of {plugin.origin}: configure"
    try:
        configured = plugin.hook.configure(settings=settings)
    except ValueError as error:
        # Not `from error`: it may quote a secret.
        raise SettingsError([Problem("", hide(str(error), secrets))]) from None
    except PASSED_ON:
        raise
    except BaseException as error:
        raise PluginError(f"{broken} failed: {whereabouts(error)}") from error
    if configured is None:
        raise PluginError(f"{broken} returned None; return what the other hooks shall receive")
    return configured


def _signed(request: HttpRequest, message_id: str, user_key: str) -> HttpRequest:
    """Fill in whose request it is, if the plugin left that to the host."""
    has_ids, key = request.message_ids, request.user_key
    if has_ids and key is not None:
        return request
    # A new copy may be changed. `replace` takes twice as long and checks the body again, and
    # `copy.copy` takes as long again as this call, to find it.
    signed = _copy_of(request)
    if not has_ids:
        force_setattr(signed, "message_ids", (message_id,))
    if key is None:
        force_setattr(signed, "user_key", user_key)
    return signed


def _all_signed(
    requests: Sequence[HttpRequest], message_id: str, user_key: str
) -> tuple[HttpRequest, ...]:
    return tuple([_signed(request, message_id, user_key) for request in requests])


def _named(
    requests: Sequence[HttpRequest], notes: Sequence[Note], user_id: str | None
) -> tuple[HttpRequest, ...]:
    """Fill in the userId that a mapping gave, if a plugin does not say whom a request names."""
    identity = "" if user_id is None or leaves_user_id_out(notes) else user_id
    return tuple(
        request if request.identity is not None else replace(request, identity=identity)
        for request in requests
    )


def _readable_id(raw: bytes) -> str:
    """Read the id of a message that is otherwise unusable, so that its rejection can name it."""
    try:
        found, _ = decode_json(members(raw).get("messageId", b"null"))
    except Reject:
        return ""
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        return ""
    return str(found).strip()
