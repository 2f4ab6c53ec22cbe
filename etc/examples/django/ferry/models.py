"""ferry's own tables.  ferryctl migrate makes them, so Django does not manage them."""

from django.db import connection, models


def call(function, task):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ferry.{function}(%s)", [task])
        return cursor.fetchone()[0]


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Task(models.Model):
    """
    The columns that this site uses; ferry(7) has them all.  A row is inserted and then only read: save() of a task that exists is
    refused by the database.  source_store and destination_store are not here, because the database computes them.
    """

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=8191)
    destination = models.CharField(max_length=8191)
    queue = models.CharField(max_length=63, default="default")
    priority = models.IntegerField(default=0)
    dedup_key = models.CharField(max_length=1000, null=True, blank=True)
    expect_size = models.BigIntegerField(null=True, blank=True)
    content_type = models.CharField(max_length=255, null=True, blank=True)
    notify = models.CharField(max_length=63, null=True, blank=True)
    tags = models.JSONField(null=True, blank=True)

    # The daemon's: a new row leaves them as they are here.
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED, editable=False)
    bytes_done = models.BigIntegerField(default=0, editable=False)
    bytes_total = models.BigIntegerField(null=True, editable=False)
    verified_by = models.TextField(null=True, editable=False)
    error = models.TextField(null=True, editable=False)
    error_class = models.TextField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        managed = False
        db_table = '"ferry"."task"'
        ordering = ["-id"]

    def __str__(self):
        return f"task {self.pk}"

    def has_ended(self):
        return self.state in (State.DONE, State.FAILED, State.CANCELLED)

    def cancel(self):
        return call("cancel", self.pk)

    def retry(self):
        return call("retry", self.pk)


class Progress(models.Model):
    """Tasks that wait or run."""

    id = models.BigIntegerField(primary_key=True)
    state = models.CharField(max_length=10)
    source = models.TextField()
    destination = models.TextField()
    bytes_done = models.BigIntegerField()
    bytes_total = models.BigIntegerField(null=True)
    percent = models.DecimalField(max_digits=4, decimal_places=1, null=True)
    waiting_for = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = '"ferry"."progress"'
        ordering = ["id"]
