"""Slips in what a merge says of Heap's limits: Heap drops what is beyond them in silence."""

from conformance.mutants.mutation import Mutant


def _slip(mutant_id: str, description: str, old: str, new: str, module: str) -> Mutant:
    return Mutant(id=mutant_id, description=description, module=module, old=old, new=new)


MERGING = (
    _slip(
        "merge-limits-forgotten",
        "a merge ties without a word: what Heap drops is lost in silence",
        "limits = _merge_limits(settings, user_id, identity)",
        "limits = ()",
        "endpoints",
    ),
    _slip(
        "merge-counted-across-apps",
        "the merges of two Heap environments are counted together",
        'key=f"{settings.app_id} {number}",',
        "key=number,",
        "endpoints",
    ),
    _slip(
        "merge-counts-zeros",
        "007 and 7 are counted as two anonymous users",
        "number = str(int(user_id))",
        "number = user_id",
        "endpoints",
    ),
    _slip(
        "merge-identities-unlimited",
        "an anonymous user is merged into a second user, which Heap ignores",
        "IDENTITIES_PER_USER_ID: Final = 1",
        "IDENTITIES_PER_USER_ID: Final = 2",
        "limits",
    ),
    _slip(
        "merge-eleven-a-month",
        "an eleventh anonymous user is merged in a month, which Heap ignores",
        "USER_IDS_PER_IDENTITY: Final = 10",
        "USER_IDS_PER_IDENTITY: Final = 11",
        "limits",
    ),
    _slip(
        "merge-limited-for-ever",
        "an identity's ten merges are never over",
        "            period=MONTH,\n",
        "",
        "endpoints",
    ),
    _slip(
        "merge-month-of-28-days",
        "a month is over too early",
        "MONTH: Final = 31 * 86_400.0",
        "MONTH: Final = 28 * 86_400.0",
        "limits",
    ),
)
