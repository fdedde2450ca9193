"""Prices of well-known models (micro-dollars per million tokens) and the default plan."""

import datetime as dt

from django.db import migrations

LONG_AGO = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
MODELS = (
    ("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, 150_000, 75_000, 600_000),
    ("gpt-4o", "GPT-4o", 128_000, 16_384, 2_500_000, 1_250_000, 10_000_000),
    ("gpt-4.1", "GPT-4.1", 1_047_576, 32_768, 2_000_000, 500_000, 8_000_000),
    ("gpt-4.1-mini", "GPT-4.1 mini", 1_047_576, 32_768, 400_000, 100_000, 1_600_000),
    ("gpt-4.1-nano", "GPT-4.1 nano", 1_047_576, 32_768, 100_000, 25_000, 400_000),
)


def seed(apps, schema_editor):
    chat_model = apps.get_model("chat", "ChatModel")
    price = apps.get_model("chat", "ModelPrice")
    for name, label, window, output, prompt, cached, completion in MODELS:
        model = chat_model.objects.create(
            name=name, label=label, context_window=window, max_output=output, enabled=False
        )
        price.objects.create(
            model=model, valid_from=LONG_AGO, prompt=prompt, cached=cached, completion=completion
        )
    apps.get_model("chat", "Plan").objects.create(
        name="Default",
        is_default=True,
        requests_per_minute=20,
        tokens_per_day=2_000_000,
        concurrent_answers=5,
    )


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
