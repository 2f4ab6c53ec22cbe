from django.contrib import admin

from ferry.models import Progress, Task


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    list_display = ["id", "state", "source", "destination", "bytes_done", "bytes_total", "error"]
    list_filter = ["state", "queue"]
    search_fields = ["source", "destination"]
    readonly_fields = ["state", "bytes_done", "bytes_total", "verified_by", "error", "error_class", "finished_at"]
    actions = ["cancel", "retry"]

    def has_change_permission(self, request, obj=None):
        return obj is None and super().has_change_permission(request)  # the list has actions

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.action(description="Cancel the selected tasks")
    def cancel(self, request, tasks):
        self.message_user(request, f"{sum(task.cancel() for task in tasks)} cancelled")

    @admin.action(description="Retry the selected tasks")
    def retry(self, request, tasks):
        self.message_user(request, f"{sum(task.retry() for task in tasks)} queued again")


@admin.register(Progress)
class ProgressAdmin(admin.ModelAdmin):
    list_display = ["id", "state", "source", "destination", "percent", "waiting_for"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
