"""Clients of the stores besides ferryd: producers and other programs.  They repeat a request that fails."""

import contextlib
import hashlib
import hmac
import http.client
import re
import time
import urllib.parse

import origin
import stores


class CosClient:
    """A client of the COS endpoint.  It calls meanwhile() between attempts."""

    def __init__(self, port):
        self.meanwhile = lambda: None
        self.port, self.host = port, f"{stores.BUCKET}.cos.{stores.REGION}.myqcloud.com:{port}"

    def authorization(self, method, path, query):
        when = f"{int(time.time()) - 30};{int(time.time()) + 3600}"

        def sign(key, text):
            return hmac.new(key.encode(), text.encode(), hashlib.sha1).hexdigest()
        query = {name.lower(): value for name, value in sorted(query.items())}
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        host = urllib.parse.quote(self.host, safe="")
        request = f"{method.lower()}\n{path}\n{pairs}\nhost={host}\n"
        signature = sign(sign(stores.COS_SECRET, when), f"sha1\n{when}\n{hashlib.sha1(request.encode()).hexdigest()}\n")
        return (f"q-sign-algorithm=sha1&q-ak={stores.COS_ID}&q-sign-time={when}&q-key-time={when}&q-header-list=host"
                f"&q-url-param-list={';'.join(query)}&q-signature={signature}")

    def call(self, method, key, query=None, body=None):
        path, query = f"/{key}", dict(query or {})
        for _ in range(100):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as conn, \
                    contextlib.suppress(OSError, http.client.HTTPException):
                conn.request(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body,
                             {"Host": self.host, "Authorization": self.authorization(method, path, query)})
                answer = conn.getresponse()
                text = answer.read()
                if answer.status < 300 or (method == "DELETE" and answer.status == 404):
                    return text.decode()
                assert answer.status >= 500, f"{method} {key}: {answer.status} {text}"
            time.sleep(0.1)
            self.meanwhile()
        raise AssertionError(f"{method} {key}: no answer")


class Gateway:
    """A client of the Ceph gateway, without a cable between."""

    def __init__(self, ceph):
        self.ceph, self.meanwhile = ceph, lambda: None
        if ceph:
            ceph.timeout = 5  # short, so that meanwhile() can thaw a frozen gateway

    def call(self, method, bucket, key="", **options):
        """Returns (status, body); repeats the request after a 5xx or no answer.  404 is an answer."""
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.ceph.request(method, bucket, key, **options)
                body = answer.read()
                if answer.status < 300 or answer.status == 404:
                    return answer.status, body
                assert answer.status >= 500, f"{method} {bucket}/{key}: {answer.status} {body[:500]}"
            time.sleep(0.1)
            self.meanwhile()
        raise AssertionError(f"{method} {bucket}/{key}: no answer")

    def put(self, bucket, key, body):
        self.call("PUT", bucket, key, body=body)

    def initiate(self, bucket, key):
        """Begins a foreign upload, with a part."""
        upload = re.search("<UploadId>([^<]+)<", self.call("POST", bucket, key, query={"uploads": ""})[1].decode()).group(1)
        self.call("PUT", bucket, key, query={"partNumber": "1", "uploadId": upload}, body=b"theirs")
        return upload

    def uploads(self, bucket, prefix):
        """Returns {(key, upload id)}."""
        found, query = set(), {"uploads": "", "prefix": prefix}
        while True:
            text = self.call("GET", bucket, query=query)[1].decode()
            for upload in re.findall("<Upload>(.*?)</Upload>", text, re.S):
                found.add((re.search("<Key>([^<]+)<", upload).group(1), re.search("<UploadId>([^<]+)<", upload).group(1)))
            if "<IsTruncated>true<" not in text:
                return found
            query["key-marker"] = re.search("<NextKeyMarker>([^<]+)<", text).group(1)
            query["upload-id-marker"] = re.search("<NextUploadIdMarker>([^<]+)<", text).group(1)


class Handler(origin.Handler):
    def serve(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if query.get("seed") in self.server.gone:
            self.arrived = time.time()
            return self.answer(404)
        super().serve()

    def at_later(self):
        """Serves the beginning, and redirects requests for later bytes: /later/WHERE/SIZE leads to /WHERE/SIZE."""
        wanted = self.range_of(int(self.words[2]))
        if wanted and wanted[0] > 0:
            return self.answer(302, [("Location", self.path.replace("/later/", "/", 1))])
        self.words = self.words[1:]
        self.at_size()
