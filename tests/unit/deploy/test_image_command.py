"""`make image` where no Docker engine answers."""

import pytest

from infra.image import __main__ as image


@pytest.mark.parametrize(("setting", "status"), [(None, 1), ("", 1), ("skip", 0)])
def test_an_image_that_was_not_built_is_a_failure_unless_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str | None, status: int
) -> None:
    monkeypatch.setattr(image, "engine_answers", lambda: False)
    monkeypatch.delenv("WITHOUT_ENGINE", raising=False)
    if setting is not None:
        monkeypatch.setenv("WITHOUT_ENGINE", setting)

    assert image.main() == status
    assert "neither built nor run" in capsys.readouterr().out
