"""What the routes do, for Django's views and for Django Ninja's."""

import datetime
import json
import time
import uuid

import httpx
from django.conf import settings
from django.core.cache import cache

from device.models import Device
from published import INSERT, SET

EXPIRY_S = 20
UPSTREAM_TIMEOUT_S = 10
FIB_MAX = 40
TEXT_MAX = 255

client = httpx.Client(timeout=UPSTREAM_TIMEOUT_S,
                      limits=httpx.Limits(max_connections=None, max_keepalive_connections=500))


class UpstreamError(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def cache_key(key, _prefix, _version):
    """The key as it is: the UUID."""
    return key


def fibonacci(n):
    if n <= 1:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def fetch_external():
    """The JSON that the external service answers, as bytes."""
    try:
        response = client.get(settings.EXTERNAL_API_URL)
        response.raise_for_status()
        response.json()
    except httpx.TimeoutException as error:
        raise UpstreamError(504, "the external service did not answer in time") from error
    except (httpx.HTTPError, ValueError) as error:
        raise UpstreamError(502, "the external service is not available") from error
    return response.content


def is_text(value):
    return isinstance(value, str) and len(value) <= TEXT_MAX and "\0" not in value


def create_device(mac, firmware):
    """One row, and its object as JSON in the cache; returns the object."""
    now = datetime.datetime.now(datetime.timezone.utc)
    start = time.perf_counter()
    row = Device.objects.create(uuid=str(uuid.uuid4()), mac=mac, firmware=firmware,
                                created_at=now, updated_at=now)
    INSERT.observe(time.perf_counter() - start)

    text = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    device = {"id": row.id, "uuid": row.uuid, "mac": row.mac, "firmware": row.firmware,
              "created_at": text, "updated_at": text}
    start = time.perf_counter()
    cache.set(row.uuid, json.dumps(device, separators=(",", ":")), EXPIRY_S)
    SET.observe(time.perf_counter() - start)
    return device
