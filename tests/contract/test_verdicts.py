"""The types' verdict on good and bad objects; the API server's is in tests/cluster."""

import pytest
from pydantic import ValidationError

from autotrain_api.trainingjob import TrainingJob
from contract.verdicts import BAD, CASES, GOOD, Case


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.title)
def test_types_take(case: Case):
    TrainingJob.model_validate(case.build())


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.title)
def test_types_refuse_and_name_the_place(case: Case):
    with pytest.raises(ValidationError) as refusal:
        TrainingJob.model_validate(case.build())

    places = [".".join(str(step) for step in error["loc"]) for error in refusal.value.errors()]
    expected = "metadata.name" if case.refused_at == "<root>" else str(case.refused_at)
    assert any(place.startswith(expected) for place in places), places


def test_there_are_enough_of_them():
    assert len({case.title for case in CASES}) == len(CASES) >= 40
