"""No story passes over a bug: what the engine survives and logs as an error fails the test."""

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
