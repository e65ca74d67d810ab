from django.db import models


class Device(models.Model):
    uuid = models.CharField(max_length=255)
    mac = models.CharField(max_length=255)
    firmware = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    id = models.AutoField(primary_key=True)

    class Meta:
        db_table = "device"
        managed = False
