"""The shop over HTTP: a page with the latest orders, and an address that takes a new one."""

from __future__ import annotations

import time

import django_rq
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from example_project.shop.jobs import send_confirmation
from example_project.shop.models import Order


@require_GET
def shop(request: HttpRequest) -> HttpResponse:
    orders = Order.objects.all()
    return render(request, "shop/orders.html", {"orders": orders[:50], "count": orders.count()})


@csrf_exempt  # there is no login here that a foreign page could misuse
@require_POST
def place_order(request: HttpRequest) -> JsonResponse:
    email = request.POST.get("email", "")
    try:
        validate_email(email)
    except ValidationError:
        return JsonResponse({"error": "email: not a mail address"}, status=400)
    order, enqueue_ms = _place(email)
    return JsonResponse({"number": order.number, "enqueue_ms": enqueue_ms}, status=201)


def _place(email: str) -> tuple[Order, float]:
    """Order and job stand or fall together; timed are enqueue, commit and the push after it."""
    with transaction.atomic():
        order = Order.objects.create(email=email)
        started = time.perf_counter()
        django_rq.enqueue(send_confirmation, order.pk)
    return order, round((time.perf_counter() - started) * 1000, 3)
