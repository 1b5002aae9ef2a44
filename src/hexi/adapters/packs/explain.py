"""A scenario as its time line in plain words, in either language, from the scenario alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Duration
from hexi.kernel.scenario import IndicatorRule, Scenario, Severity, Step, describe_length
from hexi.kernel.text import Text
from hexi.spine.close import EVIDENCE_NAMES

_SEVERITIES = {
    Severity.EXTREME: Text(zh="特别紧急", en="extreme"),
    Severity.SEVERE: Text(zh="紧急", en="severe"),
    Severity.MODERATE: Text(zh="一般", en="moderate"),
    Severity.MINOR: Text(zh="轻微", en="minor"),
}
_WAYS = {
    "call": Text(zh="电话", en="call"),
    "sms": Text(zh="短信", en="SMS"),
    "app": Text(zh="应用", en="app"),
    "mail": Text(zh="邮件", en="mail"),
    "group": Text(zh="工作群", en="group chat"),
    "webhook": Text(zh="接口", en="webhook"),
    "desk": Text(zh="值班台", en="desk screen"),
}
_WHO = {
    "subject": Text(zh="本人", en="the person"),
    "subject.contacts": Text(zh="紧急联系人", en="the person's contacts"),
    "subject.steward": Text(zh="养老管家", en="the person's steward"),
    "nearest:service_centre": Text(zh="最近的开放服务中心", en="the nearest open service centre"),
    "grid.duty": Text(zh="网格值班台", en="the grid's desk"),
    "community.duty": Text(zh="社区值班台", en="the community's desk"),
    "street.duty": Text(zh="街道值班台", en="the street's desk"),
    "district.duty": Text(zh="区值班台", en="the district's desk"),
}
_MILESTONES = {
    "told": Text(zh="被告知", en="been told"),
    "acknowledged": Text(zh="应答", en="answered"),
    "set_off": Text(zh="出发", en="set off"),
    "arrived": Text(zh="到场", en="arrived"),
    "handled": Text(zh="处置完", en="dealt with it"),
    "verified": Text(zh="核查", en="verified"),
    "closed": Text(zh="结案", en="closed the case"),
}
_PROMISES = {
    "acknowledged": Text(zh="应答", en="everyone needed has answered"),
    "set_off": Text(zh="出发", en="somebody has set off"),
    "arrived": Text(zh="到场", en="somebody is there"),
    "handled": Text(zh="处置完", en="it is dealt with"),
    "verified": Text(zh="核查", en="it is verified"),
    "closed": Text(zh="结案", en="the case is closed"),
}
_MEASURES = {
    "share": Text(zh="占比", en="share"),
    "count": Text(zh="件数", en="count"),
    "percentile": Text(zh="百分位", en="percentile"),
    "open_now": Text(zh="在办数", en="open now"),
}
_ROLES = {
    "any": Text(zh="任何人", en="anybody"),
    "resident": Text(zh="本人", en="the resident"),
    "family": Text(zh="家属", en="the family"),
    "steward": Text(zh="管家", en="the steward"),
    "duty": Text(zh="值班台", en="the desk"),
    "district": Text(zh="区值班台", en="the district's desk"),
}
_FOLDS = {
    "subject": Text(zh="对象", en="subject"),
    "device": Text(zh="设备", en="device"),
    "source": Text(zh="来源", en="source"),
    "street": Text(zh="街道", en="street"),
    "community": Text(zh="社区", en="community"),
    "grid": Text(zh="网格", en="grid"),
    "building": Text(zh="楼门", en="building"),
}

Lines = Iterator[Text]


def explain(scenario: Scenario, catalogue: Catalogue, language: str) -> list[str]:
    """What happens from the signal to the closing, one sentence a line; ``language`` is zh or en."""
    parts = (_head, _opening, _question, _steps, _promises, _ending, _counting)
    return [line.get(language) for part in parts for line in part(scenario, catalogue)]


def _head(scenario: Scenario, _: Catalogue) -> Lines:
    severity = _SEVERITIES[scenario.case.severity]
    yield Text(
        zh=f"{scenario.title.zh}（{scenario.id}），{severity.zh}",
        en=f"{scenario.title.en} ({scenario.id}), {severity.en}",
    )


def _opening(scenario: Scenario, catalogue: Catalogue) -> Lines:
    yield from _kinds(scenario, catalogue)
    yield from _absence(scenario, catalogue)
    yield from _sequence(scenario, catalogue)
    rule = scenario.signal
    if rule.when:
        yield Text(
            zh=f"  仅当 {rule.when}；判断不了算成立",
            en=f"  only if {rule.when}; what cannot be told counts as so",
        )
    if rule.at_least:
        within, times = describe_length(rule.at_least.within), rule.at_least.times
        yield Text(
            zh=f"  {within.zh}内第 {times} 次起才算", en=f"  only from the {times}. one within {within.en}"
        )
    for loser in scenario.beats:
        title = catalogue.title(loser)
        yield Text(zh=f"  优先于“{title.zh}”", en=f"  goes before “{title.en}”")
    yield from _folding(scenario)


def _kinds(scenario: Scenario, catalogue: Catalogue) -> Lines:
    rule = scenario.signal
    if rule.kinds:
        names = _kind_names(rule.kinds, catalogue)
        cry = rule.sos or any(catalogue.is_sos(kind) for kind in rule.kinds)
        yield Text(
            zh=f"收到：{names.zh}" + ("（呼救，绝不过滤）" if cry else ""),
            en=f"On: {names.en}" + (" (a cry for help, never filtered)" if cry else ""),
        )


def _absence(scenario: Scenario, catalogue: Catalogue) -> Lines:
    rule = scenario.absence
    if rule:
        names = _kind_names(rule.kinds, catalogue)
        yield Text(
            zh=f"每天 {rule.since} 至 {rule.until} 没有：{names.zh}",
            en=f"On none of these between {rule.since} and {rule.until} of a day: {names.en}",
        )


def _sequence(scenario: Scenario, catalogue: Catalogue) -> Lines:
    rule = scenario.sequence
    if rule:
        first, then = _kind_names(rule.first, catalogue), _kind_names(rule.then, catalogue)
        within = describe_length(rule.within)
        yield Text(
            zh=f"先有：{first.zh}，{within.zh}内没有：{then.zh}",
            en=f"On: {first.en}, not followed within {within.en} by: {then.en}",
        )


def _kind_names(kinds: Iterable[str], catalogue: Catalogue) -> Text:
    titles = [
        catalogue.kinds[kind].title if kind in catalogue.kinds else Text(zh=kind, en=kind) for kind in kinds
    ]
    return _join(titles)


def _folding(scenario: Scenario) -> Lines:
    rule = scenario.signal.same_case
    by, after = _join([_named(name, _FOLDS) for name in rule.by]), describe_length(rule.within)
    yield Text(
        zh=f"  同一事项、同一{by.zh}的信号并入一案" + (f"，结案后 {after.zh}内重开" if rule.within else ""),
        en=f"  signals of the matter with the same {by.en} join one case"
        + (f", which opens again within {after.en} after closing" if rule.within else ""),
    )


def _question(scenario: Scenario, catalogue: Catalogue) -> Lines:
    ask = scenario.ask
    if ask:
        whom, ways, wait = _who(ask.whom, catalogue), _ways(ask.by), describe_length(ask.wait)
        yield Text(
            zh=f"先问{whom.zh}（{ways.zh}），等 {wait.zh}：“{ask.text.zh}”",
            en=f"First ask {whom.en} by {ways.en} and wait {wait.en}: “{ask.text.en}”",
        )
        yield Text(
            zh="  答“没事”结案；求助、不答或联系不上，立即往下走",
            en="  well closes the case; help, silence or nobody to reach goes on at once",
        )


def _steps(scenario: Scenario, catalogue: Catalogue) -> Lines:
    for step in sorted(scenario.response, key=lambda s: s.after):
        yield from _step(step, catalogue)


def _step(step: Step, catalogue: Catalogue) -> Lines:
    who = _join([_who(expression, catalogue) for expression in step.tell])
    ways, at, role = _ways(step.by), _moment(step.after), _named(step.role, _ROLES)
    unless_zh, unless_en = _unless(step)
    yield Text(
        zh=f"{at.zh}{unless_zh}：{ways.zh}告知{who.zh}（{role.zh}）{_need(step).zh}",
        en=f"{at.en}{unless_en}: tell {who.en} (role: {role.en}) by {ways.en}{_need(step).en}",
    )
    if step.text:
        yield Text(zh=f"  “{step.text.zh}”", en=f"  “{step.text.en}”")
    if step.else_by:
        other = _ways(step.else_by)
        yield Text(zh=f"  都不通则改用{other.zh}", en=f"  if all of these fail, by {other.en}")
    if step.task:
        yield Text(zh=f"  任务：{step.task.zh}", en=f"  task: {step.task.en}")


def _moment(after: Duration) -> Text:
    length = describe_length(after)
    return Text(zh=f"{length.zh}后", en=f"After {length.en}") if after else Text(zh="同一时刻", en="At once")


def _unless(step: Step) -> tuple[str, str]:
    if not step.unless:
        return "", ""
    name, _, milestone = step.unless.partition(".")
    role, said = _named(name, _ROLES), _named(milestone, _MILESTONES)
    return f"（{role.zh}已{said.zh}则免）", f", unless {role.en} has {said.en}"


def _named(word: str, names: dict[str, Text]) -> Text:
    return names.get(word) or Text(zh=word, en=word)


def _need(step: Step) -> Text:
    if step.need == 0:
        return Text(zh="，不要求应答", en=", no answer needed")
    if step.need == "all":
        return Text(zh="，人人须应答", en=", all must answer")
    return Text(zh=f"，须 {step.need} 人应答", en=f", {step.need} must answer")


def _promises(scenario: Scenario, _: Catalogue) -> Lines:
    for name, length in sorted(scenario.case.deadlines.items(), key=lambda pair: pair[1]):
        when, what = describe_length(length), _PROMISES[name]
        yield Text(zh=f"承诺：{when.zh}内{what.zh}", en=f"Promise: within {when.en} {what.en}")
    if scenario.case.deadlines:
        yield Text(
            zh="  失约即上报一级，直到区值班台",
            en="  a broken promise goes one level up, as far as the district's desk",
        )


def _ending(scenario: Scenario, catalogue: Catalogue) -> Lines:
    needed = [_named(name, EVIDENCE_NAMES) for name in scenario.case.evidence]
    if needed:
        names = _join(needed)
        yield Text(zh=f"结案须有：{names.zh}", en=f"Closes only with: {names.en}")
    cleared = scenario.signal.cleared_by
    if cleared:
        names = _kind_names(cleared, catalogue)
        ending = Text(zh="自动结案", en="closes by itself") if scenario.case.auto_close else _NOTED
        yield Text(zh=f"解除信号：{names.zh}，{ending.zh}", en=f"On {names.en}: {ending.en}")


def _counting(scenario: Scenario, catalogue: Catalogue) -> Lines:
    for indicator in catalogue.indicators.values():
        if scenario.id in indicator.scenarios:
            yield _count(indicator.title, indicator.rule)


def _count(title: Text, rule: IndicatorRule) -> Text:
    measure = _MEASURES[rule.measure]
    zh = en = ""
    if rule.target is not None:
        zh, en = f"，目标 {rule.target:g}", f", target {rule.target:g}"
    return Text(zh=f"计入：{title.zh}（{measure.zh}{zh}）", en=f"Counts in: {title.en} ({measure.en}{en})")


def _who(expression: str, catalogue: Catalogue) -> Text:
    known = _WHO.get(expression)
    if known:
        return known
    function = catalogue.recipients.get(expression)
    said = (function.__doc__ or "").strip().partition("\n")[0] if function else ""
    return Text(zh=said or expression, en=said or expression)


def _ways(ways: Iterable[str]) -> Text:
    return _join([_named(way, _WAYS) for way in ways])


def _join(texts: Iterable[Text]) -> Text:
    known = list(texts)
    return Text(
        zh="、".join(t.zh for t in known) or "（无）", en=", ".join(t.en for t in known) or "(nobody)"
    )


_NOTED = Text(zh="记入案件，由人结案", en="is noted, people close the case")
