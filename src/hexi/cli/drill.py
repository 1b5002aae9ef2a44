"""``hexi drill``: a marked exercise on the running platform, and its report."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from hexi.adapters.packs.drills import BrokenPlanError, read_plan, read_plans
from hexi.app.drill_run import DrillRefusedError, Platform, Runner
from hexi.cli import common
from hexi.kernel.clock import format_duration
from hexi.kernel.text import Text
from hexi.settings import read_secret
from hexi.spine.drill_plan import DrillPlan
from hexi.spine.drill_report import CaseJudged, DrillReport, NoticeSeen, PromiseJudged, Seen

TOKEN_VARIABLE = "HEXI_TOKEN"  # noqa: S105 -- the name of a variable, not a secret

drill = typer.Typer(no_args_is_help=True, help="Marked exercises on the running platform.")

Url = Annotated[str | None, typer.Option(help="Address of the running platform; else that of the settings.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help=f"File with a token of the scope drill; else {TOKEN_VARIABLE}. A demo needs none."),
]


Question = Callable[[Platform], Awaitable[DrillReport]]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(drill, name="drill")


@drill.command("list")
def list_plans(as_json: common.AsJson = False) -> None:
    """List the plans of all packs."""
    plans = _plans()
    if as_json:
        common.print_json(list(plans.values()))
        return
    for plan in plans.values():
        common.say(
            f"{plan.id}  {plan.title.zh}：{plan.about.zh}（至多 {format_duration(plan.lasts)}）",
            f"{plan.id}  {plan.title.en}: {plan.about.en} (at most {format_duration(plan.lasts)})",
        )


@drill.command("run")
def run(
    name: Annotated[str, typer.Argument(help="Id of a plan, or the path of a plan's file.")],
    device: Annotated[
        list[str] | None,
        typer.Option(help="Id of a device it is about; may be repeated. Else chosen at random."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Real people answer; needs [drill] send = mark.")
    ] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: common.AsJson = False,
) -> None:
    """Run a drill through the real path and print its report; exit code 1 when a promise was missed."""
    plan, subjects = _plan(name), [f"device:{identity}" for identity in device or ()]
    if not as_json:
        common.say(f"演练开始：{plan.title.zh}", f"drill: {plan.title.en}")

    async def play(platform: Platform) -> DrillReport:
        return await Runner(platform, plan, live=live).run(subjects, None if as_json else _Progress())

    _show(_ask(play, url, token_file), as_json=as_json)


@drill.command("report")
def report(
    identity: Annotated[str, typer.Argument(help="Id of a drill that was run.")],
    url: Url = None,
    token_file: TokenFile = None,
    as_json: common.AsJson = False,
) -> None:
    """Print the report of an earlier drill, counted anew from the logs of its cases."""

    async def see(platform: Platform) -> DrillReport:
        return (await platform.see(identity)).report

    _show(_ask(see, url, token_file), as_json=as_json)


def _plans() -> dict[str, DrillPlan]:
    try:
        return read_plans(common.settings().packs)
    except BrokenPlanError as error:
        raise common.Fault(f"演练方案有误：{error}", f"a plan is wrong: {error}") from error


def _plan(name: str) -> DrillPlan:
    if name.endswith(".toml"):
        try:
            return read_plan(Path(name))
        except BrokenPlanError as error:
            raise common.Fault(f"演练方案有误：{error}", f"the plan is wrong: {error}") from error
    plans = _plans()
    short = [plan for known, plan in plans.items() if known.rpartition(".")[2] == name]
    plan = plans.get(name) or (short[0] if len(short) == 1 else None)
    if plan is None:
        raise common.Fault(f"没有演练 {name}，见 hexi drill list", f"there is no {name}; see hexi drill list")
    return plan


def _ask(question: Question, url: str | None, token_file: Path | None) -> DrillReport:
    address = url or common.settings().address
    token = read_secret(token_file) if token_file else os.environ.get(TOKEN_VARIABLE)

    async def ask() -> DrillReport:
        platform = Platform(address, token)
        try:
            return await question(platform)
        finally:
            await platform.close()

    try:
        return asyncio.run(ask())
    except DrillRefusedError as error:
        raise common.Fault(f"平台没有照做：{error}", f"the platform did not do it: {error}") from error


class _Progress:
    """Says when a promise of a case has been reached, once."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def __call__(self, seen: Seen) -> None:
        for case in seen.report.cases:
            for promise in case.promises:
                if promise.took is not None and (case.id, promise.name) not in self._said:
                    self._said.add((case.id, promise.name))
                    took = format_duration(promise.took)
                    common.say(f"{case.id} {promise.name} {took}", f"{case.id} {promise.name} {took}")


def _show(found: DrillReport, *, as_json: bool) -> None:
    if as_json:
        common.print_json(found)
    else:
        for line in lines(found):
            common.say(line.zh, line.en)
    if found.ended is not None and not found.passed:
        raise typer.Exit(common.FAILED)


def lines(found: DrillReport) -> list[Text]:
    """A report in sentences."""
    verdict = (
        Text(zh="全部兑现", en="every promise kept")
        if found.passed
        else Text(zh="未全部兑现", en="not passed")
    )
    said = [
        Text(
            zh=f"演练 {found.id} {found.title.zh}：{verdict.zh}（兑现 {found.held}，未兑现 {found.missed}，"
            f"未评判 {found.not_judged}）",
            en=f"drill {found.id} {found.title.en}: {verdict.en} (kept {found.held}, missed {found.missed}, "
            f"not judged {found.not_judged})",
        )
    ]
    for case in found.cases:
        said += _case(case)
    return said


def _case(case: CaseJudged) -> list[Text]:
    spread = "-" if case.told_spread is None else format_duration(case.told_spread)
    head = Text(
        zh=f"{case.id} {case.scenario}，通知先后相差 {spread}",
        en=f"{case.id} {case.scenario}, told within {spread}",
    )
    unreached = [Text(zh=f"  未能通知 {who}", en=f"  not reached: {who}") for who in case.unreached]
    return [head, *map(_promise, case.promises), *map(_notice, case.notices), *unreached]


def _promise(promise: PromiseJudged) -> Text:
    mark = {True: "✓", False: "✗", None: "–"}[promise.held]
    took = "-" if promise.took is None else format_duration(promise.took)
    within = format_duration(promise.within)
    return Text(
        zh=f"  {mark} {promise.name} 时限 {within} 实际 {took} {_why(promise, 'zh')}".rstrip(),
        en=f"  {mark} {promise.name} within {within}, took {took} {_why(promise, 'en')}".rstrip(),
    )


def _why(promise: PromiseJudged, language: str) -> str:
    return promise.why.get(language) if promise.why else ""


def _notice(notice: NoticeSeen) -> Text:
    rungs = " ".join(f"{rung} {format_duration(at)}" for rung, at in notice.receipts.items())
    failed = f" ({notice.failed})" if notice.failed else ""
    said = f"    {notice.role} {notice.recipient} {notice.way}: {rungs}{failed}"
    return Text(zh=said, en=said)
