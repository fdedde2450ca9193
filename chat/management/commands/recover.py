from __future__ import annotations

import time
from typing import Any

from chat.answers import recovery
from chat.management.command import BaseCommand
from chat.models import Message


class Command(BaseCommand):
    help = "Closes the answers whose server process has ended; their text is kept. Safe while the site runs."

    def handle(self, *args: Any, **options: Any) -> None:
        roll = recovery.Roll()
        closed = len(recovery.recover(Message.objects.all(), roll))
        if roll.is_unsure:
            time.sleep(roll.second_look)
            closed += len(recovery.recover(Message.objects.all(), roll))
        recovery.settle_for_the_dead(roll)
        running = Message.objects.running().count()
        self.stdout.write(f"Answers closed: {closed}. Still running: {running}.")
