"""The demo's faults on demand: what is asked for goes wrong, when it is said to, and nothing else."""

from __future__ import annotations

import pytest

from hexi.app.demo import Fault, Plan, faults_of
from hexi.kernel.clock import MINUTE
from hexi.sim.district import generate

NOW = 1_780_000_000_000
PLACE = "120103001001"


def test_nothing_goes_wrong_unasked() -> None:
    faults = faults_of(Plan(), PLACE, NOW)
    assert not faults.power_cuts
    assert not faults.gateways
    assert not faults.never_answer


def test_calls_fail_from_a_minute_after_the_start_for_five() -> None:
    faults = faults_of(Plan(faults=(Fault.GATEWAY,)), PLACE, NOW)
    down = [minute for minute in range(10) if faults.gateway_down("call", NOW + minute * MINUTE)]
    assert down == [1, 2, 3, 4, 5]
    assert not faults.gateway_down("sms", NOW + 2 * MINUTE)


@pytest.mark.parametrize("speed", [1.0, 20.0])
def test_the_power_goes_by_the_hurried_day(speed: float) -> None:
    faults = faults_of(Plan(faults=(Fault.POWER,), speed=speed), PLACE, NOW)
    assert faults.mains_off(PLACE, NOW + round(2 * MINUTE * speed))
    assert not faults.mains_off(PLACE, NOW + round(7 * MINUTE * speed))
    assert not faults.mains_off("other", NOW + round(2 * MINUTE * speed))


def test_every_centre_of_the_district_is_silent() -> None:
    centres = {record.ref for record in generate(1, 10) if record.kind == "centre"}
    assert faults_of(Plan(faults=(Fault.CENTRES,)), PLACE, NOW).never_answer == centres
