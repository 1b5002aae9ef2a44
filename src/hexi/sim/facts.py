"""The district's real streets, communities and outline, as carried in ``sim/data``."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

DISTRICT = "120103"
DISTRICT_NAME = "河西区"
CITY = "天津市"

SKETCH = {
    "120103001": (0.40, 0.95),
    "120103002": (0.52, 0.80),
    "120103003": (0.33, 0.82),
    "120103004": (0.64, 0.70),
    "120103005": (0.15, 0.72),
    "120103006": (0.42, 0.66),
    "120103007": (0.22, 0.58),
    "120103008": (0.10, 0.47),
    "120103009": (0.46, 0.50),
    "120103010": (0.66, 0.48),
    "120103011": (0.88, 0.32),
    "120103012": (0.62, 0.26),
    "120103013": (0.24, 0.22),
    "120103014": (0.42, 0.14),
}
"""Where each street roughly lies, as shares of the outline's box eastward and northward. Not surveyed:
it only keeps neighbours beside each other on the synthetic map."""


class Street(NamedTuple):
    """A street by its statistical code."""

    code: str
    name: str


class Community(NamedTuple):
    """A community by its statistical code, and the street it belongs to."""

    code: str
    name: str
    committee: str
    street: str


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_read(name).splitlines()))


def _read(name: str) -> str:
    return files("hexi.sim").joinpath("data", name).read_text(encoding="utf-8")


@cache
def streets() -> tuple[Street, ...]:
    """The 14 streets by code."""
    return tuple(Street(row["code"], row["name"]) for row in _rows("streets.csv"))


@cache
def communities() -> tuple[Community, ...]:
    """The 149 communities by code."""
    return tuple(
        Community(row["code"], _short(row["name"]), row["name"], row["street_code"])
        for row in _rows("communities.csv")
    )


def _short(committee: str) -> str:
    return committee.removesuffix("居委会")


@cache
def outline() -> BaseGeometry:
    """The district's outline in WGS-84 degrees."""
    return shapely.union_all(shapely.get_parts(shapely.from_geojson(_read("boundary.geojson"))))
