"""A form takes a file, a page follows it into the archive."""

import json
import os

from django.conf import settings
from django.db import transaction
from django.http import HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from ferry import ended
from ferry.models import Progress, Task
from uploads.models import Upload

CHANNEL = "uploads"


def store(path, file):
    """Writes the file and syncs it, so that it is there when the task commits."""
    with open(path, "wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def archive(file):
    """The application's row, the file and the task: all of them, or none."""
    with transaction.atomic():
        row = Upload.objects.create(name=file.name)
        path = os.path.join(settings.SPOOL, f"upload-{row.pk}")
        try:
            store(path, file)
            task = Task.objects.create(source=f"spool://upload-{row.pk}", destination=f"{settings.ARCHIVE}/{row.pk}/{file.name}",
                                       expect_size=file.size, notify=CHANNEL, tags={"upload": row.pk})
            row.task = task.pk
            row.save()
        except BaseException:
            if os.path.exists(path):
                os.unlink(path)
            raise
    return row  # if the COMMIT itself fails, nobody knows whether it happened: the file stays


@require_http_methods(["GET", "POST"])
def upload(request):
    if request.method == "GET":
        return render(request, "form.html")
    return HttpResponseRedirect(f"/uploads/{archive(request.FILES['file']).pk}/")


@require_safe
def page(request, upload):
    return render(request, "upload.html", {"upload": get_object_or_404(Upload, pk=upload)})


def told(task):
    return {"state": task.state, "bytes_done": task.bytes_done, "bytes_total": task.bytes_total, "error": task.error}


@require_safe
def progress(request, upload):
    """What the page polls while the task waits or runs."""
    row = get_object_or_404(Upload, pk=upload)
    live = Progress.objects.filter(pk=row.task).first()
    if live is None:
        return JsonResponse(told(get_object_or_404(Task, pk=row.task)))
    return JsonResponse({"state": live.state, "bytes_done": live.bytes_done, "bytes_total": live.bytes_total,
                         "percent": live.percent, "waiting_for": live.waiting_for})


@require_safe
def end(request, upload):
    """Server-sent events: a comment now and then, so that a connection that broke is noticed, and one event at the end."""
    row = get_object_or_404(Upload, pk=upload)

    def events():
        for task in ended.wait(row.task, CHANNEL):
            yield f"event: end\ndata: {json.dumps(told(task))}\n\n" if task.has_ended() else ": waits\n\n"
    return StreamingHttpResponse(events(), content_type="text/event-stream")
