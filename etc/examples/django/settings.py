"""A site that archives uploads.  Its own tables and ferry's are in one database, so that a transaction may change both."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
                  "django.contrib.sessions", "ferry", "uploads"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                                                 "django.contrib.messages.context_processors.messages"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ.get("PGHOST", ""),
                         "PORT": os.environ.get("PGPORT", ""), "NAME": os.environ["PGDATABASE"], "USER": os.environ["PGUSER"],
                         "PASSWORD": os.environ.get("PGPASSWORD", "")}}
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The root of the store "spool" of ferryd.conf, kind = "file": where uploads lie until they are in the archive.
SPOOL = os.environ["SPOOL"]
ARCHIVE = os.environ["ARCHIVE"]  # such as cos://archive-1250000000
