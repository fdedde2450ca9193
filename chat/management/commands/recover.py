from __future__ import annotations

import time
from typing import Any

from chat.answers import recovery
from chat.answers.liveness import Liveness
from chat.management.command import BaseCommand
from chat.models import Message


class Command(BaseCommand):
    help = "Closes the answers whose server process has ended; their text is kept. Safe while the site runs."

    def handle(self, *args: Any, **options: Any) -> None:
        liveness = Liveness()
        closed = len(recovery.recover(Message.objects.all(), liveness))
        if liveness.is_unsure:
            time.sleep(liveness.second_look)
            closed += len(recovery.recover(Message.objects.all(), liveness))
        recovery.settle_dead_processes(liveness)
        running = Message.objects.running().count()
        self.stdout.write(f"Answers closed: {closed}. Still running: {running}.")
