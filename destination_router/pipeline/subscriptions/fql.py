"""FQL, the language of subscriptions: `type = "track" and (event = "Paid" or traits.age > 21)`.

The language is Segment's (`segmentio/action-destinations`, packages/destination-subscriptions).
It differs in three ways: `and` binds tighter than `or` (in Segment, the last one of a level counts
for the whole level: `segment_meaning`), groups nest, and text that Segment silently misreads is an
error.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

Value: TypeAlias = str | int | float | bool | None
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]

SCALAR_FIELDS = ("type", "event", "name", "userId")
OBJECT_FIELDS = ("properties", "traits", "context")


class FqlError(ValueError):
    """A subscription that cannot be parsed.

    Attributes:
        position: the character at fault, from 1.
    """

    def __init__(self, position: int, detail: str) -> None:
        super().__init__(f"at character {position}: {detail}")
        self.position = position


class Comparison(msgspec.Struct, frozen=True):
    """`field operator value`."""

    field: tuple[str, ...]
    operator: Operator
    value: Value

    def __str__(self) -> str:
        return f"{_field_text(self.field)} {self.operator} {_value_text(self.value)}"


class Test(msgspec.Struct, frozen=True):
    """`contains(field, "text")` or `match(field, "text*")`, negated or not."""

    function: Literal["contains", "match"]
    field: tuple[str, ...]
    text: str
    negated: bool = False

    def __str__(self) -> str:
        sign = "!" if self.negated else ""
        return f"{sign}{self.function}({_field_text(self.field)}, {_value_text(self.text)})"


class Combination(msgspec.Struct, frozen=True):
    """Two or more conditions, of which all or any must hold."""

    operator: Literal["and", "or"]
    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        parts = (f"({part})" if isinstance(part, Combination) else str(part) for part in self.parts)
        return f" {self.operator} ".join(parts)


Expression: TypeAlias = Comparison | Test | Combination


def parse(text: str) -> Expression:
    """Parse a subscription. `str` of the result parses to the same.

    Raises:
        FqlError: with the position of what is wrong.
    """
    return _Parser(text).parse()


def segment_meaning(text: str) -> Expression:
    """Parse a subscription as Segment does, which may be surprising.

    If `and` and `or` are mixed without parentheses, the last of them counts for all. `!= true`
    holds for everything except the text `true`.

    Raises:
        FqlError: as `parse`.
    """
    return _as_segment_compares(_Parser(text, last_counts=True).parse())


def _as_segment_compares(condition: Expression) -> Expression:
    match condition:
        case Combination(operator, parts):
            return Combination(operator, tuple(map(_as_segment_compares, parts)))
        case Comparison(field, "!=", bool(value)):
            return Comparison(field, "!=", _value_text(value))
        case _:
            return condition


# -- printing -----------------------------------------------------------------------------------


def _field_text(field: tuple[str, ...]) -> str:
    return ".".join(re.sub(r"[^a-zA-Z0-9_-]|^-", r"\\\g<0>", key) for key in field)


def _value_text(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            quote = "'" if '"' in value else '"'
            return f"{quote}{value}{quote}"
        case _:
            return repr(value)


# -- parsing ------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.\\-]))
      | (?P<sign><=|>=|!=|[=<>!(),])
      | (?P<word>(?:[^\W\d]|\\.)(?:[\w?-]|\\.|\.(?=[\w\\])|\[\d+\])*)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PART = re.compile(r"((?:\\.|[^.\[\]\\])+)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OPERATORS: dict[str, Operator] = {
    "=": "=",
    "!=": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Literal["contains", "match"]] = {"contains": "contains", "match": "match"}
_JOINS: dict[str, Literal["and", "or"]] = {"and": "and", "or": "or"}
_DEPTH = 50


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    position: int


class _Parser:
    def __init__(self, text: str, *, last_counts: bool = False) -> None:
        self._tokens = list(_tokens(text))
        self._last_counts = last_counts
        self._next = 0
        self._depth = 0

    def parse(self) -> Expression:
        if self._peek().kind == "end":
            raise FqlError(1, 'it is empty; write a condition, such as type = "track"')
        condition = self._conditions()
        self._expect("end", "", "and, or, or the end")
        return condition

    def _conditions(self) -> Expression:
        """Parse the conditions between two parentheses, or at the top level."""
        parts, words = [self._condition()], []
        while (token := self._peek()).kind == "word" and token.text in _JOINS:
            words.append(_JOINS[self._take().text])
            parts.append(self._condition())
        if self._last_counts and words:
            return Combination(words[-1], tuple(parts))
        return _joined(parts, words)

    def _condition(self) -> Expression:
        token = self._take()
        if token.text == "(" and token.kind == "sign":
            return self._group(token)
        negated = token.text == "!" and token.kind == "sign"
        if negated:
            token = self._take()
        if token.kind == "word" and token.text in _FUNCTIONS and self._peek().text == "(":
            return self._test(_FUNCTIONS[token.text], negated=negated)
        if negated:
            raise FqlError(token.position, "only contains(...) and match(...) can be negated")
        return self._comparison(_field(token))

    def _group(self, token: _Token) -> Expression:
        self._depth += 1
        if self._depth > _DEPTH:
            raise FqlError(token.position, f"parentheses nest deeper than {_DEPTH}")
        condition = self._conditions()
        self._expect("sign", ")", "a closing parenthesis")
        self._depth -= 1
        return condition

    def _test(self, function: Literal["contains", "match"], *, negated: bool) -> Expression:
        self._expect("sign", "(", "an opening parenthesis")
        field = _field(self._take())
        self._expect("sign", ",", "a comma")
        token = self._take()
        if token.kind != "text":
            raise FqlError(token.position, f"{function} needs text in quotes")
        text = token.text[1:-1]
        if function == "match" and not text.startswith("*") and not text.endswith("*"):
            raise FqlError(token.position, "match needs a * at the start or the end of its text")
        self._expect("sign", ")", "a closing parenthesis")
        return Test(function, field, text, negated)

    def _comparison(self, field: tuple[str, ...]) -> Expression:
        token = self._take()
        if token.kind != "sign" or token.text not in _OPERATORS:
            raise FqlError(token.position, f"expected one of {' '.join(_OPERATORS)}")
        operator = _OPERATORS[token.text]
        token = self._take()
        value = _value(token)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if operator not in ("=", "!=") and not is_number:
            raise FqlError(token.position, f"{operator} compares with a number")
        return Comparison(field, operator, value)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _expect(self, kind: str, text: str, wanted: str) -> None:
        token = self._take()
        if token.kind != kind or token.text != text:
            raise FqlError(token.position, f"expected {wanted}")


def _joined(parts: list[Expression], words: list[Literal["and", "or"]]) -> Expression:
    """Join conditions by the words between them. `and` binds tighter."""
    runs = [[parts[0]]]
    for word, part in zip(words, parts[1:], strict=True):
        if word == "and":
            runs[-1].append(part)
        else:
            runs.append([part])
    either = [run[0] if len(run) == 1 else Combination("and", tuple(run)) for run in runs]
    return either[0] if len(either) == 1 else Combination("or", tuple(either))


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            raise FqlError(start + 1, _unreadable(text[start]))
        kind = str(found.lastgroup)
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
        at = found.end()
    return tokens


def _unreadable(character: str) -> str:
    if character in "\"'":
        return "the text is never closed"
    return (
        "a number or a field ends in what it cannot hold"
        if character.isalnum()
        else (f"{character!r} has no meaning here")
    )


def _field(token: _Token) -> tuple[str, ...]:
    known = ", ".join((*SCALAR_FIELDS, *(f"{name}.…" for name in OBJECT_FIELDS)))
    if token.kind != "word":
        raise FqlError(token.position, f"expected a field: {known}")
    first, *rest = (_ESCAPED.sub(r"\1", part) for part in _PART.findall(token.text))
    if first in SCALAR_FIELDS and not rest:
        return (first,)
    if first in OBJECT_FIELDS and rest:
        return (first, *rest)
    raise FqlError(token.position, f"{first} is no field; known: {known}")


def _value(token: _Token) -> Value:
    if token.kind == "text":
        return token.text[1:-1]
    if token.kind == "number":
        try:
            return int(token.text)
        except ValueError:
            return float(token.text)
    if token.kind == "word" and token.text in _WORDS:
        return _WORDS[token.text]
    raise FqlError(token.position, "expected text in quotes, a number, true, false or null")


def literal(value: Any) -> str:
    """Write a value as FQL does.

    Raises:
        ValueError: text that holds both kinds of quotes, which FQL cannot write.
    """
    if isinstance(value, str) and '"' in value and "'" in value:
        raise ValueError("FQL cannot write text that holds both kinds of quotes")
    return _value_text(value)
