"""Settings that the operator refuses at its start."""

import pytest
from pydantic import ValidationError

from modelyard.api.history import RUNTIME_IMAGE
from modelyard.kube.pods import Runtime
from modelyard.registered_model.build import operator_runtime, served
from modelyard.settings import Settings

DIGEST = f"sha256:{'a' * 64}"


def test_the_longest_accepted_runtime_image_fits_into_a_status():
    runtime = Runtime(
        Settings(runtime_image="i" * RUNTIME_IMAGE).runtime_image, "IfNotPresent", "0.1.0"
    )
    assert (
        served("v1", DIGEST, runtime).runtime.image
        == operator_runtime(runtime).image
        == runtime.image
    )


@pytest.mark.parametrize("image", ["", "i" * (RUNTIME_IMAGE + 1)], ids=["empty", "too long"])
def test_a_runtime_image_that_is_too_long_for_a_status_is_refused_at_the_start(image: str):
    message = f"has {len(image)} characters and must have 1 to {RUNTIME_IMAGE}, .* shorter name"
    with pytest.raises(ValidationError, match=message):
        Settings(runtime_image=image)
