"""Numbers as the admin's pages write them."""

from __future__ import annotations

import datetime as dt
from math import ceil

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def dollars(micro: float) -> str:
    """Cents, and finer below a dollar where that says more: small spending is not nothing."""
    amount = micro / 1_000_000
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    if amount < 0.0001:
        return "< $0.0001"
    fine = f"{amount:.4f}"
    return f"${fine[:-2]}" if fine.endswith("00") else f"${fine}"


def count(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def short(number: float) -> str:
    """12.3 k, 4.5 M: for tiles and axes."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            divided = number / (1e3 if letter == "k" else size)
            return (
                f"{divided:,.0f} {letter}" if divided >= 100 or divided == int(divided) else f"{divided:.1f} {letter}"
            )
    return count(number)


def percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{share * 100:.0f} %" if share in (0, 1) or share >= 0.1 else f"{share * 100:.1f} %"


def seconds(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    return f"{milliseconds:,.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"


def span(seconds: float) -> str:
    """How long, in the two largest units."""
    whole = max(ceil(seconds), 0)
    if whole < 60:
        return _("%(seconds)d s") % {"seconds": whole}
    if whole < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": whole // 60, "seconds": whole % 60}
    if whole < 172_800:
        return _("%(hours)d h %(minutes)d min") % {"hours": whole // 3600, "minutes": whole % 3600 // 60}
    days = round(whole / 86_400)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def ago(moment: dt.datetime, now: dt.datetime) -> str:
    return span((now - moment).total_seconds())
