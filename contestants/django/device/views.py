import json

from django.db import DataError, Error as DatabaseError
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_GET, require_http_methods
from pymemcache.exceptions import MemcacheError

import published
from device import service


def reply(value, status=200):
    return JsonResponse(value, status=status, safe=False,
                        json_dumps_params={"separators": (",", ":")})


def refuse(status, text):
    response = reply({"error": text}, status)
    if status == 503:
        response["Retry-After"] = "1"
    return response


@require_http_methods(["GET", "POST"])
def devices(request):
    return reply(published.devices()) if request.method == "GET" else create(request)


def create(request):
    try:
        body = json.loads(request.body)
        mac, firmware = body["mac"], body["firmware"]
    except (ValueError, KeyError, TypeError):
        return refuse(400, 'expected {"mac": TEXT, "firmware": TEXT}')
    if not (service.is_text(mac) and service.is_text(firmware)):
        return refuse(400, f"mac and firmware are texts of at most {service.TEXT_MAX} characters")
    try:
        return reply(service.create_device(mac, firmware), 201)
    except DataError as error:
        return refuse(400, f"insert: {error}")
    except DatabaseError as error:
        return refuse(503, f"insert: {error}")
    except (MemcacheError, OSError) as error:
        return refuse(503, f"set: {error}")


@require_GET
def health(_request):
    return HttpResponse("OK", content_type="text/plain")


@require_GET
def fib(_request, n):
    if not n.isdecimal() or int(n) > service.FIB_MAX:
        return refuse(400, f"n must be a whole number from 0 to {service.FIB_MAX}")
    return reply({"n": int(n), "fibonacci": service.fibonacci(int(n))})


@require_GET
def fetch_external(_request):
    try:
        return HttpResponse(service.fetch_external(), content_type="application/json")
    except service.UpstreamError as error:
        return refuse(error.status, str(error))


@require_GET
def metrics(_request):
    return HttpResponse(published.metrics(), content_type=published.METRICS_TYPE)
