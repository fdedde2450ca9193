from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.stream_diagnosis import Unreachable, diagnose
from chat.streaming.check import CHECK_GAP


class Command(BaseCommand):
    help = (
        "Reads a short stream from a deployment as a browser would. Names each problem in the proxy or the settings "
        "that delays or cuts streams, with the line that fixes it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="such as https://chat.example.org")
        parser.add_argument("--insecure", action="store_true", help="do not check the certificate")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            probe, problems = diagnose(options["url"], check_certificate=not options["insecure"])
        except ValueError:
            raise CommandError("The address must look like https://chat.example.org.") from None
        except Unreachable as error:
            raise CommandError(f"{options['url']} cannot be reached: {error}.") from None
        self.stdout.write(
            f"{len(probe.arrivals)} events, longest gap {probe.longest_gap:.2f} s "
            f"(sent every {CHECK_GAP} s), HTTP status {probe.status}"
        )
        for problem in problems:
            self.stdout.write(f"PROBLEM  {problem.text}\n   FIX   {problem.fix}")
        if problems:
            raise CommandError(f"{len(problems)} found.")
        self.stdout.write("Streams arrive as they are sent.")
