"""Slips in flattening, converting, cutting and naming."""

from conformance.mutants.mutation import Mutant


def _slip(
    mutant_id: str, description: str, old: str, new: str, module: str = "properties"
) -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


_KEPT = "    flat: Properties = dict(properties)\n"
"""Keeps the values that need no change."""
_ALL_KEPT = "        break\n    return flat\n"


def _kept(value: str, condition: str = "") -> str:
    kept = f"key: {value} for key, value in properties.items() {condition}".rstrip()
    return f"    flat: Properties = {{{kept}}}\n"


PROPERTIES = (
    _slip(
        "true-as-one",
        "True is a number in Python: it is sent as 1",
        "    elif kind is int or kind is float:\n",
        "    elif isinstance(value, (int, float)):\n        value = value + 0\n",
    ),
    _slip(
        "booleans-as-python-writes-them",
        "true is sent as True",
        'return "true" if value else "false"',
        "return str(value)",
    ),
    _slip(
        "booleans-in-silence",
        "a boolean becomes text without a note",
        '        _tell(run, "converted", key, f"{_kind(value)} became text")\n',
        "",
    ),
    _slip(
        "nulls-as-text",
        "null is sent as the text null",
        '        _tell(run, "dropped", key, "null")\n',
        '        _keep(run, key, "null", depth)\n',
    ),
    _slip(
        "nulls-in-silence",
        "null is left out without a note",
        '        _tell(run, "dropped", key, "null")\n',
        "        pass\n",
    ),
    _slip(
        "numbers-as-text",
        "numbers are sent as text",
        _KEPT,
        _kept("value if type(value) is str else number_text(value)"),
    ),
    _slip(
        "whole-floats-as-integers",
        "1.0 is sent as 1",
        _KEPT,
        _kept("int(value) if type(value) is float and value == int(value) else value"),
    ),
    _slip(
        "integers-as-floats",
        "whole numbers pass through a float: 2^53 + 1 becomes 2^53",
        _KEPT,
        _kept("float(value) if type(value) is int else value"),
    ),
    _slip(
        "falsy-dropped",
        "0 and empty text are taken for nothing",
        _KEPT,
        _kept("value", "if value not in (0, '')"),
    ),
    _slip(
        "text-trimmed",
        "blanks around a value are removed",
        _KEPT,
        _kept("value.strip() if type(value) is str else value"),
    ),
    _slip(
        "digits-as-numbers",
        "text of digits becomes a number: a postcode loses its zero",
        _KEPT,
        _kept("int(value) if type(value) is str and value.isdecimal() else value"),
    ),
    _slip(
        "array-order-lost",
        "an array is sorted",
        "_join(items)",
        "_join(sorted(items))",
    ),
    _slip(
        "array-repeats-lost",
        "an array's repeats are lost",
        "_join(items)",
        "_join(dict.fromkeys(items))",
    ),
    _slip(
        "array-in-silence",
        "an array is joined without a note",
        '    _tell(run, "joined", key, _joined_detail(given))\n',
        "",
    ),
    _slip(
        "array-not-cut",
        "a joined array is sent whole, however long",
        "            fits = type(item) is str and len(item) <= VALUE_CHARACTERS\n",
        "            fits = type(item) is str\n",
    ),
    _slip(
        "array-by-index",
        "an array of text becomes one property for each item",
        "    elif _holds_containers(values):\n",
        "    elif values:\n",
    ),
    _slip(
        "array-of-objects-as-text",
        "objects in an array become the text of Python",
        "    elif _holds_containers(values):\n",
        "    elif False:\n",
    ),
    _slip(
        "array-of-nulls-as-empty-text",
        "an array of nulls becomes empty text",
        "    elif items := _items(run, values, key):\n",
        "    elif (items := _items(run, values, key)) is not None:\n",
    ),
    _slip(
        "empty-array-in-silence",
        "an empty array is left out without a note",
        '        _tell(run, "dropped", key, "an empty list")\n',
        "        pass\n",
    ),
    _slip(
        "empty-object-in-silence",
        "an empty object is left out without a note",
        '        _tell(run, "dropped", key, "an empty object")\n',
        "        pass\n",
    ),
    _slip(
        "keys-with-underscores",
        "nested keys are joined with an underscore",
        '_flatten(run, value.items(), f"{key}.", depth + 1)',
        '_flatten(run, value.items(), f"{key}_", depth + 1)',
    ),
    _slip(
        "later-key-wins",
        "of two properties with one name the later one wins",
        "elif key in run.flat and depth > run.depths.get(key, 1):",
        "elif False:",
    ),
    _slip(
        "nested-key-wins",
        "of two properties with one name the nested one wins",
        "elif key in run.flat and depth > run.depths.get(key, 1):",
        "elif key in run.flat and depth < run.depths.get(key, 1):",
    ),
    _slip(
        "key-clash-in-silence",
        "a property that gives way to another is not reported",
        "        if key in run.flat:\n"
        '            _tell(run, "dropped", key, '
        '"a later or less nested property has the same name")\n',
        "",
    ),
    _slip(
        "long-key-cut",
        "a long key is cut: two become one",
        '        _tell(run, "dropped", key, _LONG_NAME)\n    elif key in run.flat and',
        "        run.flat[key[:KEY_CHARACTERS]] = value\n    elif key in run.flat and",
    ),
    _slip(
        "empty-key-kept",
        "a property without a name is sent",
        "    if not key:\n",
        "    if False:\n",
    ),
    _slip(
        "value-cut-in-bytes",
        "a value is cut in the middle of a character",
        "    return text[:characters]\n",
        '    return text.encode()[:characters].decode("utf-8", "replace")\n',
    ),
    _slip(
        "value-measured-in-utf-16",
        "a value is measured as JavaScript does: an emoji counts twice",
        "    if len(text) <= characters:\n",
        '    if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= characters:\n',
    ),
    _slip(
        "value-cut-with-dots",
        "a value that is cut ends in an ellipsis, one character too long",
        "    return text[:characters]\n",
        '    return text[:characters] + "…"\n',
    ),
    _slip(
        "value-cut-in-silence",
        "a value is cut without a note",
        '    notes.append(_note("truncated", path, detail))\n',
        "",
    ),
    _slip(
        "number-text-of-python",
        "numbers become text as Python writes them",
        "    return javascript.number_text(number)\n",
        "    return str(number)\n",
    ),
    _slip(
        "large-exponent-off-by-one",
        "1e21 becomes text with all its zeros",
        "    return javascript.number_text(number)\n",
        '    return f"{number:.0f}" if number == 1e21 else javascript.number_text(number)\n',
    ),
    _slip(
        "small-exponent-off-by-one",
        "1e-7 becomes text without an exponent",
        "    return javascript.number_text(number)\n",
        '    return f"{number:.7f}" if number == 1e-7 else javascript.number_text(number)\n',
    ),
    _slip(
        "id-not-renamed",
        "a trait called id is sent, and refused",
        "    if not reserved:\n        return flat\n    renamed",
        "    if True:\n        return flat\n    renamed",
    ),
    _slip(
        "id-in-one-casing",
        "only id is renamed, not ID",
        ' | {"Id", "iD", "ID"}',
        "",
    ),
    _slip(
        "user-id-in-any-casing",
        "userId and USER_ID are renamed too",
        "_RESERVED.intersection(flat)",
        "{key for key in flat if key.casefold() in RESERVED_USER_PROPERTIES}",
    ),
    _slip(
        "nested-id-renamed",
        "company.id is renamed",
        "_RESERVED.intersection(flat)",
        '{key for key in flat if key.rpartition(".")[2] in _RESERVED}',
    ),
    _slip(
        "id-over-its-neighbour",
        "a renamed id replaces a property called _id",
        "        if key in reserved and name in flat:\n",
        "        if False:\n",
    ),
    _slip(
        "id-in-silence",
        "id is renamed without a note",
        '            notes.append(_note("renamed", f"{path}.{key}", '
        'f"Heap reserves it; sent as {name}"))\n',
        "            pass\n",
    ),
    _slip(
        "email-as-given",
        "Email makes a new property beside Heap's own",
        "    if len(spellings) != 1:\n",
        "    if True:\n",
    ),
    _slip(
        "email-over-email",
        "Email replaces an email that is there",
        "    if BUILT_IN_EMAIL in flat:\n        return flat\n"
        "    spellings = [key for key in flat if key.casefold() == BUILT_IN_EMAIL]\n"
        "    if len(spellings) != 1:\n",
        "    spellings = [key for key in flat if key.casefold() == BUILT_IN_EMAIL]\n"
        "    if not spellings or spellings == [BUILT_IN_EMAIL]:\n",
    ),
    _slip(
        "email-in-silence",
        "Email is renamed without a note",
        '    notes.append(_note("renamed", f"{path}.{spellings[0]}", detail))\n',
        "",
    ),
    _slip(
        "counter-kept-between-messages",
        "something is remembered from one message to the next",
        _ALL_KEPT,
        "        break\n    _SEEN.append(1)\n"
        '    return {**flat, "n": len(_SEEN)}\n\n\n_SEEN: list[int] = []\n',
    ),
    _slip(
        "message-changed",
        "the message itself is changed",
        _ALL_KEPT,
        "        break\n    properties.pop('plan', None)\n    return flat\n",
    ),
)
