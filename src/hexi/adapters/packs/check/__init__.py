"""Checks over a whole set of packs: each is a small function that keeps one promise."""

from __future__ import annotations

from hexi.adapters.packs.check import (
    code,
    conditions,
    days,
    drills,
    identity,
    indicators,
    overlap,
    records,
    response,
    signals,
    texts,
    times,
)
from hexi.adapters.packs.check.days import tier, tiers
from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.load import Loaded
from hexi.adapters.packs.problem import Problem

__all__ = ["CHECKS", "CHECKS_OF_ONE", "Item", "Whole", "check", "tier", "tiers"]

CHECKS_OF_ONE = (
    identity.file_is_named_after_id,
    identity.id_belongs_to_pack,
    texts.holes_are_the_same_in_both_languages,
    texts.holes_can_be_filled,
    texts.only_notices_have_holes,
    texts.languages_are_not_swapped,
    texts.numbers_to_answer_have_a_meaning,
    signals.answers_something,
    signals.kinds_have_a_source,
    signals.nothing_filters_a_cry,
    signals.folds_by_what_a_signal_has,
    signals.clears_only_when_told,
    conditions.when_speaks_of_known_things,
    response.alarm_has_a_response,
    response.ways_are_known,
    response.recipients_resolve,
    response.emergency_reaches_a_desk,
    response.unless_names_a_role_and_a_milestone,
    response.somebody_must_answer,
    response.replies_are_acts,
    response.evidence_can_be_given,
    response.public_is_never_about_a_person,
    times.deadlines_are_in_order,
    times.steps_come_before_the_end,
    times.question_is_short,
    times.emergency_promises_an_answer,
    indicators.of_scenario,
    overlap.beats_exist,
)
"""Promises about one scenario."""

CHECKS = (
    identity.folder_is_named_after_pack,
    identity.titles_differ,
    signals.packs_agree_on_a_kind,
    overlap.no_unexplained_overlap,
    overlap.one_matter_folds_in_one_way,
    indicators.of_pack,
    records.records_are_whole,
    days.every_scenario_is_played,
    drills.plans_can_be_run,
    code.rules_import_only_the_facade,
)
"""Promises about all of them together."""


def check(loaded: Loaded) -> list[Problem]:
    """Everything wrong with the packs, what could not be read included, in the order of the files."""
    whole = Whole(loaded)
    problems = list(loaded.problems)
    for promise in CHECKS:
        problems += promise(whole)
    for item in whole.items:
        for about_one in CHECKS_OF_ONE:
            problems += about_one(item, whole)
    return sorted(problems, key=lambda p: (p.file, p.line or 0, p.where))
