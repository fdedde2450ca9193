from django.db import migrations, models

BOUNDS = (100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10000, 30000)
COLUMNS = (*(f"first_token_to_{bound}" for bound in BOUNDS), "first_token_later")


def from_list(apps, schema_editor):
    for row in apps.get_model("chat", "DailyUsage").objects.exclude(first_token_buckets=[]).iterator():
        for name, count in zip(COLUMNS, row.first_token_buckets, strict=True):
            setattr(row, name, count)
        row.save(update_fields=COLUMNS)


class Migration(migrations.Migration):
    dependencies = [("chat", "0002_seed")]
    operations = [
        *(
            migrations.AddField("dailyusage", name, models.PositiveIntegerField(default=0))
            for name in (*COLUMNS, "unpriced")
        ),
        migrations.RunPython(from_list, migrations.RunPython.noop),
        migrations.RemoveField("dailyusage", "first_token_buckets"),
    ]
