"""The monthly report as a file: PDF to print and sign, XLSX to count on, JSON to verify."""

from hexi.adapters.report.pdf import FontMissingError, write_pdf
from hexi.adapters.report.words import Labels
from hexi.adapters.report.xlsx import write_xlsx

__all__ = ["FontMissingError", "Labels", "write_pdf", "write_xlsx"]
