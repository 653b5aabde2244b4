import pytest

from autotrain_server.settings import Settings, bytes_of


@pytest.mark.parametrize(
    ("quantity", "wanted"),
    [("10Mi", 10 * 2**20), ("1.5Ki", 1536), ("2k", 2000), ("7", 7), (7, 7), ("1G", 10**9), ("1500m", 1)],
)
def test_quantities_of_bytes_are_read_as_kubernetes_does(quantity, wanted):
    assert bytes_of(quantity) == wanted


@pytest.mark.parametrize("quantity", ["ten", "1Zi", "", "Mi"])
def test_what_is_no_quantity_is_refused(quantity):
    with pytest.raises(ValueError, match="quantity"):
        bytes_of(quantity)


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AUTOTRAIN_BUNDLE", "/models/flowers")
    monkeypatch.setenv("AUTOTRAIN_LIMITS", '{"maxBodyBytes": "1Mi"}')
    monkeypatch.setenv("AUTOTRAIN_POSTPROCESSING", '{"labels": {"a": "Apple"}, "topK": 1}')

    settings = Settings()

    assert settings.max_body_bytes == 2**20
    assert settings.postprocessing.labels == {"a": "Apple"}
