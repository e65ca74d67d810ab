"""The settings that a benchmark needs: no middleware, pooled connections, memcached as cache."""

import os

from psycopg.conninfo import conninfo_to_dict

_database = conninfo_to_dict(os.environ.get("POSTGRES_URI", "postgresql://localhost/mydb"))

SECRET_KEY = "signs nothing: there are no sessions"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["device"]
MIDDLEWARE = []
ROOT_URLCONF = os.environ.get("ROOT_URLCONF", "device.urls")
USE_TZ = True
TIME_ZONE = "UTC"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 20

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.pop("dbname", ""),
        "USER": _database.pop("user", ""),
        "PASSWORD": _database.pop("password", ""),
        "HOST": _database.pop("host", ""),
        "PORT": _database.pop("port", ""),
        # of each worker; the published pools add up to 500
        "OPTIONS": {**_database, "pool": {"min_size": 1, "max_size": 125}},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": os.environ.get("MEMCACHED_HOST", "127.0.0.1:11211"),
        "KEY_FUNCTION": "device.service.cache_key",
    }
}
EXTERNAL_API_URL = os.environ.get("EXTERNAL_API_URL", "http://127.0.0.1:5001/external")
