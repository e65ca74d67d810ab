"""The Django contestant's routes by Django Ninja, which reads and writes by Pydantic's schemas."""

from typing import Annotated

from django.db import DataError, Error as DatabaseError
from django.http import HttpResponse
from django.urls import path
from ninja import NinjaAPI, Path, Schema
from ninja.renderers import JSONRenderer
from pydantic import Field
from pymemcache.exceptions import MemcacheError

import published
from device import service

Text = Annotated[str, Field(max_length=service.TEXT_MAX)]


class CompactJSON(JSONRenderer):
    json_dumps_params = {"separators": (",", ":")}


class DeviceIn(Schema):
    mac: Text
    firmware: Text


class Device(Schema):
    id: int
    uuid: str
    mac: str
    firmware: str
    created_at: str
    updated_at: str


api = NinjaAPI(renderer=CompactJSON())


@api.exception_handler(DatabaseError)
@api.exception_handler(MemcacheError)
@api.exception_handler(OSError)
def unavailable(request, error):
    response = api.create_response(request, {"error": str(error)}, status=503)
    response["Retry-After"] = "1"
    return response


@api.exception_handler(DataError)
def refused(request, error):
    return api.create_response(request, {"error": str(error)}, status=400)


@api.exception_handler(service.UpstreamError)
def upstream_failed(request, error):
    return api.create_response(request, {"error": str(error)}, status=error.status)


@api.get("/api/devices", response=list[Device])
def get_devices(request):
    return published.devices()


@api.post("/api/devices", response={201: Device})
def create_device(request, device: DeviceIn):
    return 201, service.create_device(device.mac, device.firmware)


@api.get("/healthz")
def health(request):
    return HttpResponse("OK", content_type="text/plain")


@api.get("/fib/{n}")
def fib(request, n: Annotated[int, Path(ge=0, le=service.FIB_MAX)]):
    return {"n": n, "fibonacci": service.fibonacci(n)}


@api.get("/fetch-external")
def fetch_external(request):
    return HttpResponse(service.fetch_external(), content_type="application/json")


@api.get("/metrics")
def metrics(request):
    return HttpResponse(published.metrics(), content_type=published.METRICS_TYPE)


urlpatterns = [path("", api.urls)]  # as the routes are by now
