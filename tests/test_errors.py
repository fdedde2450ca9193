"""The error classes and their codes."""

from __future__ import annotations

import inspect

from chat import errors


def test_every_error_class_has_a_code_of_its_own() -> None:
    classes = [each for _name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]
    assert set(errors.error_classes().values()) == set(classes)


def test_a_class_is_found_by_its_code() -> None:
    assert errors.error_classes()["upstream-busy"] is errors.ProviderBusy
