"""What the publication fixes for every implementation: the three devices, and the metrics with
their names, labels and buckets."""

from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest


def devices():
    """Built anew for each request, as the published services do."""
    return [
        {
            "id": 1,
            "uuid": "9add349c-c35c-4d32-ab0f-53da1ba40a2a",
            "mac": "EF-2B-C4-F5-D6-34",
            "firmware": "2.1.5",
            "created_at": "2024-05-28T15:21:51.137Z",
            "updated_at": "2024-05-28T15:21:51.137Z",
        },
        {
            "id": 2,
            "uuid": "d2293412-36eb-46e7-9231-af7e9249fffe",
            "mac": "E7-34-96-33-0C-4C",
            "firmware": "1.0.3",
            "created_at": "2024-01-28T15:20:51.137Z",
            "updated_at": "2024-01-28T15:20:51.137Z",
        },
        {
            "id": 3,
            "uuid": "eee58ca8-ca51-47a5-ab48-163fd0e44b77",
            "mac": "68-93-9B-B5-33-B9",
            "firmware": "4.3.1",
            "created_at": "2024-08-28T15:18:21.137Z",
            "updated_at": "2024-08-28T15:18:21.137Z",
        },
    ]


def _buckets():
    """The 261 bounds in seconds; the last, infinity, is implied."""
    parts = [  # from, below, step, in microseconds
        (10, 100, 5), (100, 200, 1), (200, 1000, 10), (1000, 10000, 500),
        (10000, 100000, 5000), (100000, 1000000, 50000), (1000000, 5000001, 500000),
    ]
    return [us / 1e6 for part in parts for us in range(*part)]


_durations = Histogram("myapp_request_duration_seconds", "Duration of the request.",
                       ["op", "db"], buckets=_buckets())
INSERT = _durations.labels(op="insert", db="postgres")
SET = _durations.labels(op="set", db="memcache")

METRICS_TYPE = CONTENT_TYPE_LATEST


def metrics():
    """The page of this process. With several workers each scrape shows one, as published."""
    return generate_latest()
