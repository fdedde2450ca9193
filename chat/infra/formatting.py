"""Amounts, counts and durations as pages show them."""

from __future__ import annotations

import datetime as dt
from math import ceil

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MICRO = 1_000_000


def dollars(micro_dollars: float) -> str:
    """Two decimals; below $1 four where they add something, below $0.0001 six. Only 0 is shown as $0.00."""
    if not micro_dollars or micro_dollars >= MICRO:
        return f"${micro_dollars / MICRO:,.2f}"
    if micro_dollars < 100:
        return f"${max(micro_dollars, 1) / MICRO:.6f}"
    return "$" + f"{micro_dollars / MICRO:.4f}".removesuffix("00")


def exact_dollars(micro_dollars: int) -> str:
    """Six decimals and no sign, for CSV and single ledger rows."""
    return f"{micro_dollars / MICRO:.6f}"


def number(value: float) -> str:
    """With thousands separators, and one decimal where it is not a whole number."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def short_number(value: float) -> str:
    """At most a few digits for large numbers, such as 12.3 k or 4.5 M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scaled = value / (1e3 if letter == "k" else size)
            return f"{scaled:,.0f} {letter}" if scaled >= 100 or scaled == int(scaled) else f"{scaled:.1f} {letter}"
    return number(value)


def percent(share: float) -> str:
    """A share between 0 and 1 as a percentage; one decimal below 10 %."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.0f} %" if share in (0, 1) or share >= 0.1 else f"{share * 100:.1f} %"


def response_time(milliseconds: float | None) -> str:
    """Milliseconds below a second, else seconds; a dash where nothing was measured."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:,.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"


def duration(seconds: float) -> str:
    """In the two largest units; from two days on, in days."""
    whole = max(ceil(seconds), 0)
    if whole < 60:
        return _("%(seconds)d s") % {"seconds": whole}
    if whole < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": whole // 60, "seconds": whole % 60}
    if whole < 172_800:
        return _("%(hours)d h %(minutes)d min") % {"hours": whole // 3600, "minutes": whole % 3600 // 60}
    days = round(whole / 86_400)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def age(moment: dt.datetime, now: dt.datetime) -> str:
    """The time from `moment` to `now`, as `duration` writes it."""
    return duration((now - moment).total_seconds())
