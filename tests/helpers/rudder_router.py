"""rudder-server's router, as far as it decides what becomes of a job: a model in our own words.

Of one batch of jobs: it asks `/routerTransform`, looks whether every job is in exactly one answer,
and takes the answers by their first job. An answer that holds a job of a user of whom an earlier
job has to be sent again is not sent. The requests of an answer go out one after the other. Through
the proxy, one that asks for a retry, unless it is the last, makes a 500 for all jobs and ends it;
otherwise the last one's statuses are the jobs'. Without the proxy the first that is no success
ends it, and its status is everybody's.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

Proxy = Literal["off", "v0", "v1"]
Answer = tuple[int, str]

FORMATS = ("JSON", "JSON_ARRAY", "XML", "FORM", "GZIP")


class Job(NamedTuple):
    """A job: its id, whose order it is in, the event, and what else the server notes on it."""

    number: int
    user: str
    message: dict[str, Any]
    notes: dict[str, Any] | None = None


def is_over(status: int) -> bool:
    """Whether a status ends a job, well or badly."""
    return 200 <= status < 500 and status not in {408, 429}


class RudderRouter:
    """The router of one destination.

    Args:
        transform: answers `/routerTransform`: the body of a request → the body of the answer.
        deliver: answers the proxy: version and body → HTTP status and body.
        post: sends a request to the vendor itself: `endpoint` and JSON body → status and words.
        proxy: whether, and how, it sends through the proxy.
    """

    def __init__(
        self,
        transform: Callable[[bytes], bytes],
        deliver: Callable[[str, bytes], Awaitable[tuple[int, bytes]]],
        post: Callable[[str, Any], Awaitable[Answer]],
        proxy: Proxy,
    ) -> None:
        self._transform = transform
        self._deliver = deliver
        self._post = post
        self.proxy = proxy
        self.config: dict[str, Any] = {"appId": "123"}

    async def process(self, jobs: list[Job]) -> dict[int, Answer]:
        """Take a batch of jobs, and say the status of each, with the words."""
        users = {job.number: job.user for job in jobs}
        found: dict[int, Answer] = {}
        behind: set[str] = set()
        for answer in self._answers(jobs):
            numbers = [one["jobId"] for one in answer["metadata"]]
            if answer["statusCode"] != 200:
                told = dict.fromkeys(numbers, (answer["statusCode"], answer["error"]))
            elif behind & {users[number] for number in numbers}:
                told = dict.fromkeys(numbers, (500, "behind"))
            else:
                told = await self._sent(answer, numbers)
            told = {number: told.get(number, (500, "expected")) for number in numbers}
            behind |= {users[number] for number, (status, _) in told.items() if not is_over(status)}
            found |= told
        return found

    def _answers(self, jobs: list[Job]) -> list[dict[str, Any]]:
        asked = [
            {
                "message": job.message,
                "metadata": {
                    "destinationId": "d1",
                    "workspaceId": "ws1",
                    "attemptNum": 0,
                    **(job.notes or {}),
                    "jobId": job.number,
                    "userId": job.user,
                },
                "destination": {"ID": "d1", "Config": self.config},
            }
            for job in jobs
        ]
        body = self._transform(json.dumps({"input": asked, "destType": "heap"}).encode())
        answers: list[dict[str, Any]] = json.loads(body)["output"]
        numbers = [one["jobId"] for answer in answers for one in answer["metadata"]]
        assert sorted(numbers) == sorted(job.number for job in jobs)
        return sorted(answers, key=lambda one: min(each["jobId"] for each in one["metadata"]))

    async def _sent(self, answer: dict[str, Any], numbers: list[int]) -> dict[int, Answer]:
        requests = answer["batchedRequest"]
        requests = requests if isinstance(requests, list) else [requests]
        if self.proxy == "off":
            status, words = 0, ""
            for request in requests:
                status, words = await self._sent_alone(request)
                if not 200 <= status < 300:
                    break
            return dict.fromkeys(numbers, (status, words))
        told: dict[int, Answer] = {}
        for at, request in enumerate(requests):
            told = await self._proxied(request, answer, numbers)
            if at < len(requests) - 1 and not all(is_over(status) for status, _ in told.values()):
                return {number: (500, words) for number, (_, words) in told.items()}
        return told

    async def _sent_alone(self, request: dict[str, Any]) -> Answer:
        for name, value in request["body"].items():
            if not isinstance(value, dict):
                return 500, f"500 Invalid Router Payload: {name}"
        full = [name for name, value in request["body"].items() if value]
        assert len(full) <= 1  # which of them is sent would be chance
        if full and full[0] not in FORMATS:
            return 500, f"500 Invalid Router Payload: {full[0]}"
        return await self._post(request["endpoint"], request["body"][full[0]] if full else None)

    async def _proxied(
        self, request: dict[str, Any], answer: dict[str, Any], numbers: list[int]
    ) -> dict[int, Answer]:
        kept = ("jobId", "attemptNum", "sourceId", "destinationId", "workspaceId", "destInfo")
        metadata = [
            {"userId": "", "secret": None, "dontBatch": False}
            | {name: one[name] for name in kept if name in one}
            for one in answer["metadata"]
        ]
        handed = {name: value for name, value in request.items() if name != "version"}
        # Numbers go through Go's float64.
        handed = json.loads(json.dumps(handed), parse_int=_as_float64)
        body = handed | {
            "metadata": metadata[0] if self.proxy == "v0" else metadata,
            "destinationConfig": self.config,
        }
        status, content = await self._deliver(self.proxy, json.dumps(body).encode())
        output = json.loads(content)["output"]
        if self.proxy == "v0":
            assert status != 404
            return dict.fromkeys(numbers, (status, json.dumps(output)))
        return {
            one["metadata"]["jobId"]: (one["statusCode"], one["error"])
            for one in output["response"]
        }


def _as_float64(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
