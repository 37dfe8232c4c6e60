"""Connections divided among processes: evenly, for good, and those of one account together."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from destination_router.config.router_toml import ConnectionConfig
from destination_router.contract.records import Json
from destination_router.pipeline.connection import Connection
from destination_router.service.connections import connect
from destination_router.service.shares import divide, groups_by_quota

COUNTS = st.integers(1, 8)
NAMES = st.lists(st.sampled_from([f"c{number}" for number in range(20)]), unique=True)


def alone(names: list[str]) -> list[list[str]]:
    return [[name] for name in names]


def test_the_first_connections_are_dealt_out() -> None:
    """In the order of the file; a process without any has nothing to do."""
    assert divide(alone(["a", "b", "c"]), 2) == {"a": 0, "b": 1, "c": 0}
    assert divide(alone(["a"]), 4) == {"a": 0}
    assert divide([], 4) == {}
    assert divide([["a", "b"], ["c"], ["d"]], 2) == {"a": 0, "b": 0, "c": 1, "d": 1}


@given(names=NAMES, count=COUNTS)
def test_no_process_has_two_more_than_another(names: list[str], count: int) -> None:
    """Each connection is delivered by one, and none is left out."""
    places = divide(alone(names), count)
    loads = Counter(places.values())
    assert places.keys() == set(names)
    assert max(loads.values(), default=0) - min(loads[at] for at in range(count)) <= 1


@given(names=NAMES, after=NAMES, count=COUNTS)
def test_a_reload_moves_no_more_than_makes_it_even(
    names: list[str], after: list[str], count: int
) -> None:
    """What stays in the file stays in its process, but for what one has more than its part."""
    before = divide(alone(names), count)
    places = divide(alone(after), count, before)
    kept = Counter(at for name, at in before.items() if name in places)
    part = -(-len(after) // count)
    moved = sum(places[name] != at for name, at in before.items() if name in places)
    surplus = sum(max(0, load - part + 1) for load in kept.values())
    assert moved <= surplus
    loads = Counter(places.values())
    assert max(loads.values(), default=0) - min(loads[at] for at in range(count)) <= 1
    assert divide(alone(after), count, places) == places


@given(
    sizes=st.lists(st.integers(1, 5), max_size=8),
    count=COUNTS,
    was=st.dictionaries(st.sampled_from([f"0.{at}" for at in range(5)]), st.integers(0, 7)),
)
def test_a_group_is_never_parted(sizes: list[int], count: int, was: dict[str, int]) -> None:
    """Wherever its members were before."""
    groups = [[f"{number}.{at}" for at in range(size)] for number, size in enumerate(sizes)]
    places = divide(groups, count, was)
    for group in groups:
        assert len({places[name] for name in group}) == 1
    assert all(0 <= at < count for at in places.values())


def heap(name: str, **settings: Json) -> Connection:
    return connect(ConnectionConfig(name=name, plugin="heap", settings=settings))


def test_connections_of_one_account_are_together() -> None:
    """Heap limits an app: two connections to it share its quota; two apps of a region do not."""
    connections = [
        heap("web", appId="11", region="EU"),
        heap("other", appId="12", region="EU"),
        heap("server", appId="11"),
    ]
    assert groups_by_quota(connections) == [["web", "server"], ["other"]]


def test_whose_account_is_known_by_any_setting() -> None:
    """An id that is a reference is looked up; a chain of such connections is one group."""
    connections = [
        heap("a", appId="11"),
        heap("b", appId="12", deletionApiKey="the same key"),
        heap("c", appId="11", deletionApiKey="the same key"),
    ]
    assert [sorted(group) for group in groups_by_quota(connections)] == [["a", "b", "c"]]
