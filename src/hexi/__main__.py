"""``python -m hexi`` is the same as ``hexi``."""

from hexi.cli import main

main()
