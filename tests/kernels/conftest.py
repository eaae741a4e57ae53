"""Emulators take fewer examples: each costs a run of a C++ compiler, or seconds."""

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from tests.kernels.elsewhere import ELSEWHERE
from tests.kernels.harness import CUDA

FEW = 4
SETTINGS = "_hypothesis_internal_use_settings"  # there is no public way to give one parameter of a test its own


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    test, parameters = getattr(item, "obj", None), getattr(item, "callspec", None)
    found = getattr(test, SETTINGS, None)
    slow = (CUDA, *ELSEWHERE)
    if parameters is None or parameters.params.get("variant") not in slow or not isinstance(found, settings):
        return (yield)
    setattr(test, SETTINGS, settings(found, max_examples=min(FEW, found.max_examples)))
    try:
        return (yield)
    finally:
        setattr(test, SETTINGS, found)
