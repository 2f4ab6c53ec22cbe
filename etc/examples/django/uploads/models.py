from django.db import models


class Upload(models.Model):
    name = models.CharField(max_length=255)
    task = models.BigIntegerField(null=True)  # ferryd deletes ended tasks, so this is no foreign key
