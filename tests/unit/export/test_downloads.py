"""Links to files name a host that answers them itself: after a redirect their signature would be void."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.local.config import Config as LocalConfig
from infra.local.config import free_ports
from shared import settings
from shared.assembly import Assembly
from shared.clients import S3_ENDPOINTS

KEY = "exports/cup/2026-W48/file.csv"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> dict[str, str]:
    known = LocalConfig(tmp_path, tmp_path, free_ports()).environment()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for name in S3_ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    return known | {"EXPORT_BUCKET": "cup-exports"}


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "ap-southeast-4"])
def test_a_link_names_the_host_of_the_buckets_own_region(environment: dict[str, str], region: str) -> None:
    assembly = Assembly(settings.load(environment | {"AWS_REGION": region}))

    url = urlsplit(assembly.downloads.url("cup", KEY))

    assert (url.scheme, url.netloc) == ("https", f"cup-exports.s3.{region}.amazonaws.com")
    assert url.path == f"/{KEY}"


@pytest.mark.parametrize("variable", sorted(S3_ENDPOINTS))
def test_a_link_to_a_server_of_our_own_has_the_bucket_in_its_path(
    environment: dict[str, str], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://aws:4566")

    url = urlsplit(Assembly(settings.load(environment)).downloads.url("cup", KEY))

    assert (url.scheme, url.netloc) == ("http", "aws:4566")
    assert url.path == f"/cup-exports/{KEY}"
