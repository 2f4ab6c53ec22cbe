from django.contrib import admin
from django.urls import path

from uploads import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("uploads/", views.upload),
    path("uploads/<int:upload>/", views.page),
    path("uploads/<int:upload>/progress", views.progress),
    path("uploads/<int:upload>/end", views.end),
]
