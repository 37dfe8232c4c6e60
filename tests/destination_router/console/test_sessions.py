"""Who is signed in, for how long, and how long a guess costs."""

from __future__ import annotations

from destination_router.console.sessions import LIFETIME, Pauses, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_each_password_gives_its_role() -> None:
    """And a wrong, empty or nearly right one gives none."""
    sessions = Sessions("operator-password", "viewer-password", Clock())
    operator, viewer = (
        sessions.sign_in(password, "ada") for password in ("operator-password", "viewer-password")
    )
    assert operator is not None
    assert operator.may_act
    assert operator.who == "operator ada"
    assert viewer is not None
    assert not viewer.may_act
    assert viewer.who == "viewer ada"
    for wrong in ("", "operator-passwor", "operator-password ", "\ud800"):
        assert sessions.sign_in(wrong, "") is None


def test_without_a_viewers_password_nobody_is_a_viewer() -> None:
    """An empty one is none."""
    assert Sessions("operator-password", "", Clock()).sign_in("", "") is None


def test_a_cookie_is_known_until_it_is_over() -> None:
    """And never to another console, nor changed."""
    clock = Clock()
    sessions = Sessions("operator-password", "", clock)
    session = sessions.sign_in("operator-password", "ada\n" + "x" * 100)
    assert session is not None
    assert session.name == "ada" + "x" * 37
    cookie = sessions.signed(session)
    assert sessions.known(cookie) == session
    assert Sessions("operator-password", "", clock).known(cookie) is None
    for wrong in ("", ".", cookie[:-1], f"x{cookie}", cookie.partition(".")[0], "é.é"):
        assert sessions.known(wrong) is None
    clock.now += LIFETIME
    assert sessions.known(cookie) is None


def test_a_cookie_that_was_signed_out_stays_so_however_many_follow() -> None:
    """Nobody can push it out of memory: the oldest sessions of the role end with it."""
    clock = Clock()
    sessions = Sessions("operator-password", "viewer-password", clock)

    def signed_in(role: str = "viewer") -> str:
        clock.now += 0.1
        session = sessions.sign_in(f"{role}-password", "")
        assert session is not None
        return sessions.signed(session)

    def signed_out() -> str:
        cookie = signed_in()
        session = sessions.known(cookie)
        assert session is not None
        sessions.end(session)
        return cookie

    operator, early = signed_in("operator"), signed_in()
    first = signed_out()
    late = signed_in()
    for _ in range(999):
        signed_out()
    assert sessions.known(early)
    assert sessions.known(first) is None
    signed_out()
    assert [sessions.known(each) for each in (first, early)] == [None, None]
    assert sessions.known(late)
    for _ in range(3000):
        signed_out()
    assert sessions.known(late) is None
    assert sessions.known(signed_in())
    assert sessions.known(operator)  # whatever viewers do
    assert len(sessions._ended["viewer"]) == 1000
    assert sessions._ended["operator"] == {}


def test_a_guess_costs_more_each_time() -> None:
    """Four are free; then it doubles, up to a minute; the right password forgets them."""
    clock = Clock()
    pauses = Pauses(clock)
    waits = []
    for _ in range(14):
        pauses.failed("a")
        waits.append(pauses.left("a"))
    assert waits[:7] == [0, 0, 0, 1, 2, 4, 8]
    assert max(waits) == 60
    assert pauses.left("b") == 0
    clock.now += 61
    assert pauses.left("a") == 0
    pauses.succeeded("a")
    pauses.failed("a")
    assert pauses.left("a") == 0


def test_guessing_from_many_addresses_is_slowed_down_too() -> None:
    """And they are not remembered without end."""
    pauses = Pauses(Clock())
    for number in range(5000):
        pauses.failed(str(number))
    assert pauses.left("new") == 60
    assert len(pauses._failures) == 1000
