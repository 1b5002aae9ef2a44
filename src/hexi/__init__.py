"""hexi: the operating platform of a city district."""

__version__ = "0.1.0"
