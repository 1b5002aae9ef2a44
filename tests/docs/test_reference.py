"""Every setting, command and metric has its entry in the reference, written from the source."""

import pytest
from tools import reference


@pytest.mark.parametrize("file", reference.pages(), ids=lambda file: file.name)
def test_the_page_is_what_the_source_says(file):
    assert file.read_text(encoding="utf-8") == reference.pages()[file], "run: make docs"


def test_every_command_is_there_with_a_sentence():
    text = reference.commands_page()
    for command in (
        *(
            "demo",
            "serve",
            "check",
            "explain",
            "new scenario",
            "new pack",
            "import table",
            "import layer",
            "import district",
            "erase person",
            "erase record",
            "export",
            "day",
            "rebuild",
        ),
        *(
            "backup",
            "restore",
            "indicators",
            "doctor",
            "settings",
            "account add",
            "account reset",
            "token add",
        ),
        *("quarantine list", "quarantine show", "quarantine replay", "token list", "token revoke"),
    ):
        _, _, rest = text.partition(f"## hexi {command}\n\n")
        assert rest[:1].isupper(), f"hexi {command} has no entry"
