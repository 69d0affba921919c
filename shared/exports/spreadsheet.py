"""Writes a ranking as an XLSX file, for people to look at. Programs read the other formats.

A spreadsheet that opens a CSV file guesses types: `00123` becomes 123, `1E5` 100000, `=1+1` a formula. Here each cell
has its type, and a score that a spreadsheet would round is text.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import xlsxwriter

EXACT_MAX: Final = 10**15 - 1
"""Spreadsheets show 15 digits of a number and zeros after them."""
_CREATED: Final = datetime(1980, 1, 1, tzinfo=UTC)
"""Of every file, so that the same content is the same bytes."""
_WIDTHS: Final = (10, 18, 36, 18, 26, 12, 20)


def write_spreadsheet(file: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], directory: Path) -> None:
    """Write one sheet with a header; row by row, so that memory does not grow with them.

    Args:
        file: to be written.
        columns: the header.
        rows: integers, decimals, text and None, at most SHEET_ROWS_MAX.
        directory: takes the sheet until it is packed.
    """
    options = {"constant_memory": True, "tmpdir": str(directory), "use_zip64": True}
    with xlsxwriter.Workbook(str(file), options) as book:
        book.set_properties({"created": _CREATED})
        hundredths = book.add_format({"num_format": "0.00"})
        sheet = book.add_worksheet("ranking")
        sheet.freeze_panes(1, 0)
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)
        for column, name in enumerate(columns):
            sheet.write_string(0, column, name)
        for number, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                if isinstance(value, Decimal):
                    sheet.write_number(number, column, float(value), hundredths)
                elif isinstance(value, int) and abs(value) <= EXACT_MAX:
                    sheet.write_number(number, column, value)
                elif value is not None:
                    sheet.write_string(number, column, str(value))
