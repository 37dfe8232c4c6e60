"""A real router process between real HTTP and a simulated Mixpanel."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLI = [sys.executable, "-m", "destination_router_start"]
TIME = "2025-11-22T10:00:00.000Z"
FUTURE = "9999-11-22T10:00:00.000Z"


def track(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": f"user-{number % 10}",
        "event": "E",
        "timestamp": TIME,
        **fields,
    }


def test_only_the_bad_event_of_a_batch_becomes_a_dead_letter(router: Any, served: Any) -> None:
    """The rest is delivered in the same request; the dead letter has Mixpanel's words."""
    batch = [track(number) for number in range(20)]
    batch[7]["timestamp"] = FUTURE
    router.send(*batch)
    router.until(lambda: len(served.held("events")) == 19 and router.dead_letters())

    (letter,) = router.dead_letters()
    assert (letter["messageId"], letter["code"]) == ("m-7", "invalid_event")
    assert "at most 1 hour ahead" in json.dumps(letter)
    keys = [row["properties"]["$insert_id"] for row in served.held("events")]
    assert keys == [f"m-{number}" for number in range(20) if number != 7]


def test_every_call_arrives(router: Any, served: Any) -> None:
    """Profiles, groups and joined ids are where they should be."""
    ada = {"userId": "ada", "anonymousId": "anon-1", "timestamp": TIME}
    unknown = {"anonymousId": "anon-1", "timestamp": TIME}
    router.send(
        {"type": "page", "messageId": "m-1", "name": "Pricing", **unknown},
        {"type": "identify", "messageId": "m-2", "traits": {"email": "ada@example.com"}, **ada},
        {"type": "group", "messageId": "m-3", "groupId": "acme", "traits": {"seats": 2}, **ada},
        {"type": "screen", "messageId": "m-4", "name": "Cart", **ada},
    )
    router.until(lambda: len(served.held("events")) == 3 and served.held("accounts"))

    assert {row["user"] for row in served.held("events")} == {"ada"}
    assert served.held("users") == [
        {
            "distinct_id": "ada",
            "also": ["$device:anon-1"],
            "properties": {"$email": "ada@example.com", "company_id": ["acme"]},
        }
    ]
    (group,) = served.held("accounts")
    assert (group["group_id"], group["properties"]) == ("acme", {"seats": 2})


def test_a_bad_profile_is_found_among_good_ones(router: Any, served: Any) -> None:
    """Mixpanel does not say which it is: the bulk is taken apart until it stands alone."""
    refusal = json.dumps({"status": 0, "error": "it cannot be set"})
    served.fail({"status": 200, "body": refusal, "path": "/engage", "match": '"user-7"'})
    users = [{"userId": f"user-{n}", "timestamp": TIME, "traits": {"n": n}} for n in range(30)]
    router.send(*[{"type": "identify", "messageId": f"i-{n}", **u} for n, u in enumerate(users)])
    router.until(lambda: len(served.held("users")) == 29 and router.dead_letters())

    (letter,) = router.dead_letters()
    assert (letter["messageId"], letter["code"]) == ("i-7", "invalid_profile")
    assert "it cannot be set" in json.dumps(letter)


def test_thousands_of_messages_survive_an_unwell_vendor(tmp_path: Path, served: Any) -> None:
    """Requests fail before and after they were acted on; each message arrives once."""
    served.fail({"status": 503, "next": 1}, {"status": 500, "after": True, "next": 2})
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(track(number)) + "\n" for number in range(3000)))
    options = ["--set", "token=a-project-token", "--json"]
    origin = ["--origin", f"https://api.mixpanel.com={served.url}"]
    command = [*CLI, "send", "mixpanel", str(file), *options, *origin]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["delivered"] == 3000
    keys = [row["properties"]["$insert_id"] for row in served.held("events")]
    assert sorted(keys) == sorted(f"m-{number}" for number in range(3000))
