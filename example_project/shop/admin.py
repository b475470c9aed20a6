"""Orders in the admin."""

from __future__ import annotations

from django.contrib import admin

from example_project.shop.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs alone
    list_display = ("number", "email", "created_at")
    search_fields = ("number", "email")
    readonly_fields = ("number", "created_at")
