"""An error that the engine survives and logs fails the story's test."""

import logging

import pytest


@pytest.fixture(autouse=True)
def no_bug(caplog):
    yield
    errors = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR
    ]
    assert errors == []
