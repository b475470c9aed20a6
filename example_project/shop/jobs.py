"""Jobs of the shop: plain functions, executed by `manage.py rqworker`."""

from __future__ import annotations

from django.core.mail import EmailMessage
from rq import get_current_job

from example_project.shop.models import Order


def send_confirmation(order_pk: int) -> None:
    """Mail the confirmation; the Message-ID is always the same, so a second copy can be told."""
    order = Order.objects.get(pk=order_pk)
    EmailMessage(
        subject=f"Your order {order.number}",
        body=f"Thank you! We received your order {order.number}.\n",
        to=[order.email],
        headers={
            "Message-ID": f"<order-{order.number}@shop.example.com>",
            "X-Order": order.number,
            "X-Executed-From": getattr(get_current_job(), "backend", "redis"),
        },
    ).send()
