"""Heap's answers → an outcome for each message that a request carried.

Heap documents only 200 and 400. If a success has a web page as its body, it comes from a proxy or a
portal on the way, and Heap took nothing. A 400 refuses the whole bulk. Its text begins with the
offending field: `postBody.events[3].properties should be object`.
"""

from __future__ import annotations

import re

from destination_router import HttpRequest, HttpResponse, Outcome, default_outcome

_BAD_REQUEST = 400
_NAMED_ITEM = re.compile(r"postBody\.(?:events|users|accounts)\[([0-9]{1,4})\]")
_DETAIL_CHARACTERS = 500
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def _is_page(response: HttpResponse) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/html" or _PAGE.match(response.body) is not None


def read_response(request: HttpRequest, response: HttpResponse) -> Outcome | dict[str, Outcome]:
    """Read an answer by the default rules, except a 400 that names one item of a bulk.

    It rejects only the messages of that item. If several messages were folded into the item, one of
    them is at fault. The other items go out again without it.
    """
    default = default_outcome(response)
    if default.result == "delivered" and _is_page(response):
        return Outcome.retry(code="html_answer", detail="a web page answered in place of Heap")
    if response.status != _BAD_REQUEST or not request.items:
        return default
    words = response.text.strip()
    named = _NAMED_ITEM.match(words)
    if named is None or int(named[1]) >= len(request.items):
        return default
    code, detail = default.code, words[:_DETAIL_CHARACTERS]
    guilty = request.items[int(named[1])]
    verdict = Outcome.rejected(code, detail) if len(guilty) == 1 else Outcome.suspect(code, detail)
    again = Outcome.retry(after=0, code=code)
    return dict.fromkeys(request.message_ids, again) | dict.fromkeys(guilty, verdict)
