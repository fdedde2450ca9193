"""A base class for query sets."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

M = TypeVar("M", bound=models.Model)


class GetOrNoneQuerySet(models.QuerySet[M]):
    def get_or_none(self, **lookup: Any) -> M | None:
        """The row that matches, or None. The lookup must be unique.

        `first` would add an ORDER BY, which makes a lookup by primary key about 50 % slower.
        """
        try:
            return self.get(**lookup)
        except ObjectDoesNotExist:
            return None
