from django.urls import path

from device import views

urlpatterns = [
    path("api/devices", views.devices),
    path("healthz", views.health),
    path("fib/<str:n>", views.fib),
    path("fetch-external", views.fetch_external),
    path("metrics", views.metrics),
]
