"""`destination-router conformance NAME`: run the cases without a test file.

The router finds this command through the entry-point group `destination_router.commands`.
Standard output holds the result, standard error what is wrong with the usage. Exit status: 0 no
failure, 1 failures, 2 wrong usage.
"""

from __future__ import annotations

import difflib
import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from conformance.bench import Bench, open_bench, open_program_bench, open_transformer_bench
from conformance.case import CaseError
from conformance.known import KnownFailure, KnownFailureError, load_known_failures
from conformance.report import badge, build_report, html, markdown, report_json
from conformance.report.matrix import ReportError, read_report, write_site
from conformance.report.records import Report
from conformance.report.words import counts, covered, headline, open_statements, skips
from conformance.runner import FAILING, Verdict, asked_by, failure_text, rules, run_all
from conformance.subject import ProgramSubject
from conformance.transformer_subject import TransformerSubject
from destination_router.faults import UsageError
from destination_router.programs.destination import ProgramHooks

FAILED = 1
WRONG_USAGE = 2
MATRIX = "matrix"
"""The name that, in place of a destination, draws many reports as one page."""

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="The destination: what a configuration calls it. Or `matrix`, for a page of reports.",
        show_default=False,
    ),
]
Command = Annotated[
    str | None,
    typer.Option(
        "--command",
        metavar="COMMAND",
        help="In place of NAME: a destination in any language, by the command that starts it.",
    ),
]
Transformer = Annotated[
    str | None,
    typer.Option(
        "--transformer",
        metavar="URL",
        help="In place of NAME: a destination of a transformer that speaks RudderStack's protocol.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="Which of the transformer's: HEAP."),
]
Reports = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[REPORT]...", help="With `matrix`: the reports, as --json wrote them."),
]
Cases = Annotated[
    Path | None,
    typer.Option(
        help="The folder of its cases; those that come with the suite or with the destination's "
        "distribution if left out.",
    ),
]
CaseId = Annotated[str | None, typer.Option(help="Run one case or check only.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html", help="Write the report as one HTML file; with `matrix`, the folder of its pages."
    ),
]
BadgeFile = Annotated[Path | None, typer.Option("--badge", help="Write a badge as SVG.")]
Pinned = Annotated[
    str | None,
    typer.Option(
        "--requirements",
        metavar="DATE",
        help="Score by what was asked for at that date (2026-11); what came later is reported and "
        "fails nothing.",
    ),
]
WithMutants = Annotated[
    bool,
    typer.Option(
        "--mutants",
        help="Apply its deliberate defects too, and report what catches each; a missed one fails.",
    ),
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print the report as Markdown.")]


def conformance(  # noqa: PLR0913, PLR0917 -- one option each
    name: Name = None,
    reports: Reports = None,
    command: Command = None,
    transformer: Transformer = None,
    kind: Kind = None,
    cases: Cases = None,
    case: CaseId = None,
    json: JsonFile = None,
    html_file: HtmlFile = None,
    badge_file: BadgeFile = None,
    requirements: Pinned = None,
    mutants: WithMutants = False,  # noqa: FBT002 -- typer reads the signature
    as_markdown: AsMarkdown = False,  # noqa: FBT002 -- typer reads the signature
) -> None:
    """Show which documented cases a destination passes.

    Sends nothing. Known failures are read from the pyproject.toml of the working directory. A
    destination in another language is a program that speaks JSON lines (docs/programs.md).

    `conformance matrix REPORT... --html FOLDER` draws many reports as one site.

    Example: destination-router conformance heap
    """
    if name == MATRIX:
        _matrix(reports or [], html_file)
        return
    if reports:
        _misused(f"{reports[0]}: reports go with `destination-router conformance {MATRIX}`")
    chosen = _Chosen(name, command, transformer, kind)
    bench, known = _opened(chosen, cases, case, requirements)
    verdicts = _verdicts(bench, known, case)
    report = build_report(bench, verdicts)
    if mutants:
        report = _with_mutants(report)
    for path, text in (
        (json, report_json(report)),
        (html_file, html(report).encode()),
        (badge_file, badge(report).encode()),
    ):
        if path is not None:
            _write(path, text)
    _tell_words(bench, verdicts)
    alone = case is not None
    told = markdown(report) if as_markdown else _text(bench, report, verdicts, whole=alone)
    typer.echo(told, nl=False)
    missed = any(not one.by for one in report.mutants.mutants) if report.mutants else False
    raise typer.Exit(FAILED if missed or report.result == "failure" else 0)


def _matrix(paths: list[Path], folder: Path | None) -> None:
    """Write the page of many reports. A report of failures does not make this command fail."""
    if not paths or folder is None:
        _misused("give the reports, and with --html the folder to write to")
    try:
        reports = [read_report(path) for path in paths]
        write_site(reports, folder)
    except ReportError as error:
        _misused(str(error))
    except OSError as error:
        _misused(f"{error.filename or folder} cannot be written: {error.strerror}")
    for report in reports:
        typer.echo(headline(report))


def _with_mutants(report: Report) -> Report:
    from conformance.mutants import MutantError  # noqa: PLC0415 -- seldom asked for
    from conformance.mutants.score import mutation_score  # noqa: PLC0415

    try:
        score = mutation_score(report.destination.name)
    except MutantError as error:
        _misused(str(error))
    return msgspec.structs.replace(report, mutants=score)


class _Chosen(msgspec.Struct, frozen=True):
    """The destination that a command line names."""

    name: str | None
    command: str | None
    transformer: str | None
    kind: str | None

    def open(self, cases: Path | None, requirements: str | None) -> Bench:
        named = [self.name, self.command, self.transformer]
        if sum(one is not None for one in named) != 1:
            _misused("name one destination: NAME, --command with what starts it, or --transformer")
        if (self.transformer is None) != (self.kind is None):
            _misused("--transformer and --type go together: http://127.0.0.1:9090 and HEAP")
        if self.transformer is not None:
            return open_transformer_bench(self.transformer, self.kind or "", cases, requirements)
        if self.command is not None:
            return open_program_bench(_parted(self.command), cases, requirements=requirements)
        return open_bench(self.name or "", cases, requirements=requirements)


def _opened(
    chosen: _Chosen, cases: Path | None, case: str | None, requirements: str | None
) -> tuple[Bench, dict[str, KnownFailure]]:
    try:
        bench = chosen.open(cases, requirements)
        ids = {rule.id for rule in rules(bench)}
        known = load_known_failures(Path("pyproject.toml"), bench.name, ids)
    except (CaseError, KnownFailureError, UsageError) as error:
        _misused(str(error))
    if not bench.distribution:
        _misused(bench.load_error)
    if case is not None and case not in ids:
        close = difflib.get_close_matches(case, ids, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        _misused(f"there is no case or check {case}{hint}")
    return bench, known


def _parted(command: str) -> list[str]:
    """Split a command as a shell does."""
    try:
        parts = shlex.split(command)
    except ValueError as error:
        _misused(f"--command: {error}")
    return parts or _misused("--command names no program")


def _verdicts(bench: Bench, known: dict[str, KnownFailure], case: str | None) -> list[Verdict]:
    """Run all rules. At Ctrl-C, stop and say how many have run."""
    verdicts: list[Verdict] = []
    try:
        for verdict in run_all(bench, known, case):
            verdicts.append(verdict)  # noqa: PERF402 -- what there is at Ctrl-C is told
    except KeyboardInterrupt:
        failed = sum(verdict.result in FAILING for verdict in verdicts)
        of = f"{len(verdicts)} of {len(rules(bench))} cases and checks"
        typer.echo(f"Interrupted after {of}, of which {failed} failed; no report.", err=True)
        raise typer.Exit(FAILED) from None
    finally:
        if isinstance(bench.subject, TransformerSubject):
            bench.subject.close()
    return verdicts


def _tell_words(bench: Bench, verdicts: list[Verdict]) -> None:
    """Show the last lines that a failed program wrote to its standard error."""
    plugin = bench.subject.plugin if isinstance(bench.subject, ProgramSubject) else None
    hooks = None if plugin is None else plugin.elsewhere
    if not isinstance(hooks, ProgramHooks):
        return
    hooks.program.stop()
    failed = any(verdict.result in FAILING for verdict in verdicts)
    if failed and (words := hooks.program.last_words):
        typer.echo(f"The program wrote on standard error:\n{words}\n", err=True)


def _text(bench: Bench, report: Report, verdicts: list[Verdict], *, whole: bool) -> str:
    by_id = {rule.id: rule for rule in rules(bench)}
    failures = [
        failure_text(verdict, by_id[verdict.id], asked_by(bench), whole=whole)
        for verdict in verdicts
        if verdict.result in FAILING
    ]
    told = [*failures, "\n".join(_summary(report))]
    return "\n\n".join(told) + "\n"


def _summary(report: Report) -> list[str]:
    told = [headline(report), counts(report), *skips(report)]
    if report.pages:
        told.append(covered(report.pages))
        told.extend(f"  open: {statement}" for statement in open_statements(report.pages))
    if report.mutants:
        told.append(f"{report.mutants.caught} of {report.mutants.total} mutants caught")
        told.extend(f"  missed: {one.id}" for one in report.mutants.mutants if not one.by)
    return told


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        _misused(f"{path} cannot be written: {error.strerror}")


def _misused(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(WRONG_USAGE)
