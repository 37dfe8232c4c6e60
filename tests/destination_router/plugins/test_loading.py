"""The loader: which plugins are found, which are imported, and what each breach is told.

Modules: `loading.py`, `breaches.py`.
"""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from destination_router import hookimpl
from destination_router.plugins.breaches import HOOKS
from destination_router.plugins.loading import (
    Broken,
    LoadedPlugin,
    PluginError,
    check_destination,
    installed_plugins,
    load_plugin,
    survey_plugins,
)

GOOD = """
from destination_router import hookimpl

@hookimpl
def settings_schema():
    return {"type": "object", "properties": {}}

@hookimpl
def on_identify(message, settings):
    return []

@hookimpl
def on_track(message, settings):
    return []
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution of one module on the path, as an installer would."""

    def install(
        name: str, source: str = GOOD, *, distribution: str = "", target: str = "", folder: str = ""
    ) -> Path:
        """Offer the plugin `name`, found at `target`, from a module of the same name."""
        distribution = distribution or f"{name}-distribution"
        place = tmp_path / (folder or distribution)
        information = place / f"{distribution.replace('-', '_')}-1.0.dist-info"
        information.mkdir(parents=True)
        module = (target or f"acme_{name}").partition(":")[0]
        (place / f"{module}.py").write_text(source)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (information / "entry_points.txt").write_text(
            f"[destination_router]\n{name} = {target or module}\n"
        )
        monkeypatch.syspath_prepend(place)
        return place

    yield install
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def refusal(install: Install, source: str, target: str = "") -> str:
    """Install a plugin that breaks the contract; give the loader's words."""
    install("broken", source, target=target)
    with pytest.raises(PluginError) as caught:
        load_plugin("broken")
    return str(caught.value)


# -- finding and importing ----------------------------------------------------------------------


def test_the_plugin_of_this_distribution_is_found_and_loads() -> None:
    """Heap is found by its entry point, under the name and version of its distribution."""
    plugin = load_plugin("heap")
    assert (plugin.name, plugin.origin.partition(" ")[0]) == ("heap", "heap-destination")


def test_a_good_plugin_loads(install: Install) -> None:
    """A module with the required hooks is a destination, and nothing more is asked of it."""
    install("good")
    plugin = load_plugin("good")
    assert (
        plugin.name,
        plugin.origin,
        plugin.capabilities,
    ) == ("good", "good-distribution 1.0", ("settings_schema", "on_identify", "on_track"))
    assert plugin.hook.on_track(message=None, settings=None) == []


def test_capabilities_are_the_hooks_that_exist_in_the_contracts_order(install: Install) -> None:
    """What a destination can do is read from its hooks, wherever in the module they stand."""
    first = "from destination_router import hookimpl\n@hookimpl\ndef quotas(): return []\n"
    install("able", first + GOOD + "@hookimpl\ndef on_page(message): return []\n")
    expected = ("settings_schema", "on_identify", "on_track", "on_page", "quotas")
    assert expected == load_plugin("able").capabilities


def test_an_instance_is_as_good_as_a_module(install: Install) -> None:
    """The methods of an instance are hooks; `self` is none of their arguments."""
    methods = GOOD.replace("()", "(self)").replace("(message", "(self, message")
    body = "\n".join(f"    {line}" for line in methods.splitlines())
    source = f"class Plugin:\n{body}\nplugin = Plugin()\n"
    install("instance", source, target="acme_instance:plugin")
    assert load_plugin("instance").hook.on_identify(message=None, settings=None) == []


def test_only_the_requested_plugin_is_imported(install: Install) -> None:
    """Listing plugins imports none of them, and loading one imports no other."""
    install("wanted")
    install("other", "raise RuntimeError('imported')")
    assert {"wanted", "other"} <= {plugin.name for plugin in installed_plugins()}
    assert sys.modules.keys().isdisjoint({"acme_wanted", "acme_other"})
    load_plugin("wanted")
    assert sys.modules.keys() & {"acme_wanted", "acme_other"} == {"acme_wanted"}


def test_each_load_has_a_plugin_manager_of_its_own(install: Install) -> None:
    """Two connections with one plugin share no hooks: nothing can answer for the other."""
    install("twin")
    first, second = load_plugin("twin"), load_plugin("twin")
    assert first.hook is not second.hook
    for plugin in (first, second):
        assert len(plugin.hook.on_track.get_hookimpls()) == 1


def test_an_unknown_name_is_answered_with_the_closest_one(install: Install) -> None:
    """A mistyped plugin name gets a suggestion."""
    install("mixpanel")
    with pytest.raises(PluginError, match="'mixpannel' is installed; did you mean 'mixpanel'"):
        load_plugin("mixpannel")


def test_an_unknown_name_without_a_close_one_is_answered_with_all() -> None:
    """Where nothing is close, the installed plugins are listed."""
    with pytest.raises(PluginError, match=r"'zzz' is installed; installed: .*\bheap\b"):
        load_plugin("zzz")
    with pytest.raises(PluginError, match="installed: none"):
        load_plugin("zzz", [])


# -- one name, several offers -------------------------------------------------------------------


def test_a_name_offered_twice_is_refused_and_both_distributions_are_named(
    install: Install,
) -> None:
    """Two distributions that offer one name: neither is imported, both are named."""
    install("twice", distribution="first-maker", target="acme_first")
    install("twice", distribution="second-maker", target="acme_second")
    with pytest.raises(PluginError) as caught:
        load_plugin("twice")
    assert str(caught.value) == (
        "plugin 'twice' is offered by first-maker 1.0 (acme_first) and second-maker 1.0 "
        "(acme_second): uninstall all but one of them"
    )
    assert sys.modules.keys().isdisjoint({"acme_first", "acme_second"})


def test_one_distribution_found_in_two_places_is_no_conflict(install: Install) -> None:
    """An editable install and its build are one offer."""
    install("once", distribution="maker", folder="build")
    install("once", distribution="maker", folder="checkout")
    assert [p.origin for p in installed_plugins() if p.name == "once"] == ["maker 1.0"]
    assert load_plugin("once").origin == "maker 1.0"


def test_one_entry_point_listed_twice_is_no_conflict(install: Install) -> None:
    """A host that hands over the same entry point twice gets one plugin."""
    install("once")
    (point,) = [p for p in entry_points(group="destination_router") if p.name == "once"]
    assert load_plugin("once", [point, point]).name == "once"


def test_a_conflict_is_one_broken_record(install: Install) -> None:
    """In a survey the conflict stands once, under its name, with both origins."""
    install("twice", distribution="first-maker", target="acme_first")
    install("twice", distribution="second-maker", target="acme_second")
    (record,) = [record for record in survey_plugins() if record.name == "twice"]
    assert isinstance(record, Broken)
    assert record.origin == "first-maker 1.0 and second-maker 1.0"


# -- plugins that do not import -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def on_track(", "SyntaxError: "),
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
    ],
)
def test_a_plugin_that_does_not_import_is_broken_and_the_rest_go_on(
    install: Install, source: str, words: str
) -> None:
    """What fails at import, even by exiting, becomes a record that says whose it is and why."""
    install("broken", source)
    install("good")
    records = {record.name: record for record in survey_plugins()}
    broken = records["broken"]
    assert isinstance(broken, Broken)
    assert broken.origin == "broken-distribution 1.0"
    assert "'broken' of broken-distribution 1.0 does not import: acme_broken: " in broken.error
    assert words in broken.error
    assert isinstance(records["good"], LoadedPlugin)
    assert isinstance(records["heap"], LoadedPlugin)


def test_an_entry_point_to_nothing_is_told(install: Install) -> None:
    """An entry point that names a missing attribute is quoted."""
    error = refusal(install, GOOD, "acme_broken:plugin")
    assert "does not import: acme_broken:plugin: AttributeError" in error


def test_an_interrupt_is_not_taken_for_a_broken_plugin(install: Install) -> None:
    """Ctrl-C during an import stops the program."""
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugin("slow")


# -- breaches of the contract -------------------------------------------------------------------

BREACHES = {
    "a mistyped name": (
        "@hookimpl\ndef on_trak(message, settings): return []",
        "`def on_trak(message, settings)`",
        "is not a hook of this contract; did you mean on_track?",
    ),
    "a name like no other": (
        "@hookimpl\ndef zzzzzz(): return []",
        "`def zzzzzz()`",
        "is not a hook of this contract; known: ",
    ),
    "a private name": (
        "@hookimpl\ndef _on_page(message): return []",
        "`def _on_page(message)`",
        "did you mean on_page?",
    ),
    "another name for pluggy": (
        "@hookimpl(specname='on_page')\ndef on_screen(message): return []",
        "`def on_screen(message)`",
        "has a specname",
    ),
    "an argument that is not offered": (
        "@hookimpl\ndef on_track(event, settings): return []",
        "`def on_track(event, settings)`",
        "asks for 'event', which on_track does not offer (message, settings)",
    ),
    "an argument where none is offered": (
        "@hookimpl\ndef settings_schema(settings): return {}",
        "`def settings_schema(settings)`",
        "asks for 'settings', which settings_schema does not offer (nothing)",
    ),
    "a default": (
        "@hookimpl\ndef on_track(message, settings=None): return []",
        "`def on_track(message, settings=None)`",
        "gives 'settings' a default, so it would never be passed",
    ),
    "any number of arguments": (
        "@hookimpl\ndef on_track(*args): return []",
        "`def on_track(*args)`",
        "takes *args; name plain arguments (on_track offers: message, settings)",
    ),
    "any keywords": (
        "@hookimpl\ndef on_track(message, **rest): return []",
        "`def on_track(message, **rest)`",
        "takes **rest; name plain arguments",
    ),
    "an argument by keyword only": (
        "@hookimpl\ndef on_track(message, *, settings): return []",
        "`def on_track(message, *, settings)`",
        "takes settings; name plain arguments",
    ),
    "a coroutine": (
        "@hookimpl\nasync def on_track(message): return []",
        "`async def on_track(message)`",
        "is a coroutine; hooks are synchronous",
    ),
    "an asynchronous generator": (
        "@hookimpl\nasync def on_track(message):\n    yield 1",
        "`async def on_track(message)`",
        "is a coroutine; hooks are synchronous",
    ),
    "a generator": (
        "@hookimpl\ndef on_track(message):\n    yield 1",
        "`def on_track(message)`",
        "is a generator; return a list",
    ),
    "a pluggy wrapper": (
        "@hookimpl(wrapper=True)\ndef on_track(message):\n    return (yield)",
        "`def on_track(message)`",
        "is a generator; return a list",
    ),
    "a required hook without its mark": (
        "def on_track(message, settings): return []",
        "`def on_track(message, settings)`",
        "has a hook's name but no @hookimpl above it",
    ),
    "an optional hook without its mark": (
        "def pack(requests): return requests",
        "`def pack(requests)`",
        "has a hook's name but no @hookimpl above it",
    ),
}


@pytest.mark.parametrize(("definition", "quote", "words"), BREACHES.values(), ids=BREACHES)
def test_a_breach_names_the_distribution_and_quotes_the_definition(
    install: Install, definition: str, quote: str, words: str
) -> None:
    """The error tells whose plugin it is, the definition with its file and line, and what to do."""
    line = GOOD.count("\n") + 1
    error = refusal(install, f"{GOOD}{definition}\n")
    assert error.startswith("plugin 'broken' of broken-distribution 1.0 breaks the contract:\n")
    (breach,) = error.splitlines()[1:]
    assert quote in breach
    assert words in breach
    assert any(f"acme_broken.py:{number})" in breach for number in (line, line + 1))


def test_a_required_hook_that_is_missing_is_quoted(install: Install) -> None:
    """Every required hook that is not there is told with the signature it should have."""
    error = refusal(install, "")
    for quote in (
        "`def settings_schema()`",
        "`def on_identify(message, settings)`",
        "`def on_track(message, settings)`",
    ):
        assert f"{quote} is required and missing" in error


def test_all_breaches_are_told_at_once(install: Install) -> None:
    """An author mends a plugin in one go, not breach by breach."""
    definitions = [definition for definition, *_ in list(BREACHES.values())[:3]]
    error = refusal(install, GOOD + "\n".join(definitions) + "\n")
    assert len(error.splitlines()) == 4


def test_a_class_in_place_of_an_instance_is_refused(install: Install) -> None:
    """Pluggy would call the methods of a class without `self`; the loader says what to do."""
    error = refusal(install, "class Plugin:\n    pass\n", "acme_broken:Plugin")
    assert "plugin 'broken' of broken-distribution 1.0" in error
    assert "`class Plugin` is a class" in error
    assert "point the entry point at a module or an instance" in error


def test_a_function_that_is_only_imported_is_not_taken_for_a_hook(install: Install) -> None:
    """A name that a module imports from elsewhere, such as `configure`, is its own business."""
    install("importing", f"from struct import pack\nfrom turtle_free import quotas\n{GOOD}")
    Path(sys.path[0], "turtle_free.py").write_text("def quotas(): ...\n")
    assert "pack" not in load_plugin("importing").capabilities


SCHEMAS = {
    "null": ("None", "it is null, not a JSON Schema object"),
    "a list": ("[]", "it is a list, not a JSON Schema object"),
    "another type": ("{'type': 'array'}", 'its "type" is not "object"'),
    "no type": ("{}", 'its "type" is not "object"'),
    "an invalid one": (
        "{'type': 'object', 'properties': {'key': {'type': 'text'}}}",
        "it is not valid JSON Schema 2020-12 at /properties/key/type",
    ),
    "a reference to nothing": (
        "{'type': 'object', 'properties': {'key': {'$ref': '#/$defs/secret'}}}",
        'it has nothing at "$ref": "#/$defs/secret"; point into #/$defs',
    ),
    "a reference to elsewhere": (
        "{'type': 'object', 'properties': {'key': {'$ref': 'https://example.com/x'}}}",
        'it has nothing at "$ref": "https://example.com/x"',
    ),
}


@pytest.mark.parametrize(("schema", "words"), SCHEMAS.values(), ids=SCHEMAS)
def test_an_unusable_settings_schema_is_refused(install: Install, schema: str, words: str) -> None:
    """A schema that no settings could be checked against is found when the plugin is loaded."""
    error = refusal(install, f"{GOOD}@hookimpl\ndef settings_schema(): return {schema}\n")
    expected = "plugin 'broken' of broken-distribution 1.0 has no usable settings_schema: "
    assert error.startswith(expected + words)


@pytest.mark.parametrize("exit_", ["raise KeyError('schema')", "raise SystemExit"])
def test_a_settings_schema_that_fails_is_refused(install: Install, exit_: str) -> None:
    """A plugin that cannot say what its settings are cannot be used."""
    error = refusal(install, f"{GOOD}@hookimpl\ndef settings_schema(): {exit_}\n")
    assert "'broken' of broken-distribution 1.0 fails when asked for its settings schema" in error


def test_an_open_settings_schema_is_allowed(install: Install) -> None:
    """A schema that is not closed is the author's choice."""
    schema = "{'type': 'object', 'additionalProperties': True}"
    install("open", f"{GOOD}@hookimpl\ndef settings_schema(): return {schema}\n")
    assert load_plugin("open").name == "open"


@pytest.mark.parametrize("names", ["'Acme'", "None", "[1]", "5"])
def test_display_names_are_a_list_of_text(install: Install, names: str) -> None:
    """Text in place of a list would make every letter of it a name."""
    error = refusal(install, f"{GOOD}@hookimpl\ndef display_names(): return {names}\n")
    expected = "plugin 'broken' of broken-distribution 1.0: display_names did not return a list"
    assert error.startswith(expected)


def test_display_names_begin_with_the_plugins_own(install: Install) -> None:
    """The plugin's name counts unasked; a display name that only repeats it is left out."""
    install("acme", f"{GOOD}@hookimpl\ndef display_names(): return ['ACME', 'Acme Cloud']\n")
    assert load_plugin("acme").display_names == ("acme", "Acme Cloud")


def test_an_object_can_be_checked_without_an_entry_point() -> None:
    """A host's tests hand over a plugin directly."""

    class Plugin:
        @hookimpl
        def settings_schema(self) -> dict[str, str]:
            return {"type": "object"}

        @hookimpl
        def on_identify(self) -> list[object]:
            return []

        @hookimpl
        def on_track(self) -> list[object]:
            return []

    plugin = check_destination(Plugin(), "direct", "a test")
    assert (plugin.name, plugin.origin) == ("direct", "a test")
    assert plugin.hook.on_identify(message=None, settings=None) == []


def test_the_table_of_hooks_is_read_from_the_contract() -> None:
    """What the loader holds plugins to is what `Destination` says."""
    assert HOOKS["on_response"] == ("request", "response", "settings")
    assert HOOKS["settings_schema"] == ()
