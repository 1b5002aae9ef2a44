"""hexi: the operating platform of a city district."""

__version__ = "0.2.0"
