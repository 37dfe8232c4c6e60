"""Slips in what tells that a track goes out as it is: the mapping's questions are never asked."""

from conformance.mutants.mutation import Mutant


def _slip(mutant_id: str, description: str, old: str, new: str, module: str = "plain") -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


PLAIN = (
    _slip(
        "plain-despite-traits",
        "the traits in a track's context are lost where all else is as usual",
        " or message.context_part.traits:",
        ":",
    ),
    _slip(
        "plain-despite-options",
        "a track's options for Heap are not read",
        'if said and (len(said) > 1 or "All" not in said):',
        "if False:",
        "identity",
    ),
    _slip(
        "plain-with-a-blank-name",
        "a track whose name is blank is sent",
        "or name.isspace() ",
        "",
    ),
    _slip(
        "plain-with-a-long-name",
        "a track's name is sent whole, however long",
        " or len(name) > _SHORT",
        "",
    ),
    _slip(
        "plain-with-a-long-identity",
        "an identity is sent whole and in silence, however long",
        "        len(known) > SDK_IDENTITY_CHARACTERS\n        or ",
        "        ",
        "identity",
    ),
    _slip(
        "plain-with-a-placeholder",
        "a track's userId may be a placeholder",
        "        or placeholder_reason(known, listed) is not None\n",
        "",
        "identity",
    ),
    _slip(
        "plain-with-any-time",
        "a time is sent as the sender wrote it, in whatever zone",
        " and utc_text(time, is_valid=True) == time",
        "",
    ),
)
