"""The stores that the tests carry objects between: the COS endpoint as a process, and a real Ceph gateway with a client of its own."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import subprocess
import urllib.parse

from content import content
from rig import ROOT

BUCKET = "ferry-1250000000"
REGION = "ap-guangzhou"
COS_ID, COS_SECRET = "AKIDtestaccesskey0000000000000000000", "cosTestSecretKeyThatMustNeverShow"
CEPH_ID, CEPH_SECRET = "FERRYTESTACCESS00000", "cephTestSecretKeyThatMustNeverShow000000"


class Cos:
    """tests/servers/cos as a process that ends with us.  Methods are those of its control port."""

    def __init__(self, directory, tls=None, buckets=(BUCKET,)):
        self.directory, self.buckets, self.tls = directory, buckets, tls
        command = ["node", os.path.join(ROOT, "tests", "servers", "cos", "main.js"), "--dir", directory, "--region", REGION,
                   "--key", f"{COS_ID}:{COS_SECRET}"]
        for bucket in buckets:
            command += ["--bucket", bucket]
        if tls:
            command += ["--tls-cert", tls[0], "--tls-key", tls[1]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ports = json.loads(self.process.stdout.readline())
        self.port, self.control = ports["port"], ports["control"]

    def ask(self, method, path, body=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.control, timeout=30)
        conn.request(method, path, None if body is None else json.dumps(body))
        answer = conn.getresponse()
        text = answer.read()
        conn.close()
        assert answer.status == 200, text
        return json.loads(text)

    def objects(self):
        return {(o["bucket"], o["key"]): o for o in self.ask("GET", "/objects")}

    def object(self, key, bucket=BUCKET):
        return self.objects().get((bucket, key))

    def uploads(self):
        return self.ask("GET", "/uploads")

    def log(self, op=None, key=None):
        return [e for e in self.ask("GET", "/log") if op in (None, e.get("op")) and key in (None, e.get("key"))]

    def received(self, key, bucket=BUCKET):
        """Bytes of bodies received, by part number (0: as one PUT), whether the request came to its end or not."""
        return {int(n): b for n, b in self.ask("GET", "/counters").get(f"{bucket}/{key}", {}).items()}

    def faults(self, *rules):
        self.ask("POST", "/faults", list(rules))

    def fault(self, action, times=None, **match):
        rule = {"match": match, "action": action}
        if times is not None:
            rule["times"] = times
        self.faults(rule)

    def rate(self, bytes_per_second):
        self.ask("POST", "/rate", {"bytes": bytes_per_second})

    def held(self):
        return self.ask("GET", "/held")

    def release(self):
        self.ask("POST", "/release", {})

    def reset(self):
        self.ask("POST", "/reset", {})

    def store(self, port=None, **over):
        """port: that of a wire that leads here."""
        scheme, port = "https" if self.tls else "http", port or self.port
        host = f"cos.{REGION}.myqcloud.com"
        return {"kind": "cos", "endpoint": f"{scheme}://{host}:{port}", "region": REGION, "access_key": COS_ID,
                "secret": COS_SECRET, "resolve": [f"{b}.{host}:{port}:127.0.0.1" for b in self.buckets], **over}

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class S3:
    """The smallest S3 client: Signature Version 4 with an unsigned payload, path style."""

    timeout = 120

    def __init__(self, port, access_key, secret_key, region="us-east-1"):
        self.port, self.id, self.secret, self.region = port, access_key, secret_key, region

    def _authorization(self, method, path, query, headers, stamp):
        names = ";".join(sorted(headers))
        pairs = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                         for k, v in sorted(query.items()))
        request = "\n".join([method, path, pairs, *(f"{k}:{headers[k].strip()}" for k in sorted(headers)), "", names,
                             "UNSIGNED-PAYLOAD"])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for word in (stamp[:8], self.region, "s3", "aws4_request"):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={self.id}/{scope}, SignedHeaders={names}, Signature={signature}", pairs

    def request(self, method, bucket, key="", query=None, headers=None, body=None, length=None):
        """Returns the response, still to be read."""
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = "/" + bucket + ("/" + urllib.parse.quote(key, safe="/-_.~") if key else "")
        headers = {k.lower(): v for k, v in (headers or {}).items()}
        headers.update({"host": f"127.0.0.1:{self.port}", "x-amz-date": stamp, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        authorization, pairs = self._authorization(method, path, query or {}, headers, stamp)
        if isinstance(body, bytes):
            length = len(body)
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        conn.putrequest(method, path + ("?" + pairs if pairs else ""), skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            conn.putheader(name, value.encode())
        conn.putheader("Authorization", authorization)
        if length is not None:
            conn.putheader("Content-Length", str(length))
        conn.endheaders()
        for piece in [body] if isinstance(body, bytes) else body or ():
            conn.send(piece)
        return conn.getresponse()

    def call(self, method, bucket, key="", **options):
        """Returns (response, body) of a request that must succeed."""
        answer = self.request(method, bucket, key, **options)
        body = answer.read()
        assert answer.status < 300, f"{method} {bucket}/{key}: {answer.status} {body[:500]}"
        return answer, body

    def put(self, bucket, key, body, **headers):
        self.call("PUT", bucket, key, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put_content(self, bucket, key, seed, size, tee=None):
        """Content by seed, made while it is sent; tee() sees each piece."""
        def pieces():
            for piece in content(seed, 0, size):
                if tee:
                    tee(piece)
                yield piece
        self.call("PUT", bucket, key, body=pieces(), length=size)

    def get(self, bucket, key):
        return self.call("GET", bucket, key)[1]

    def head(self, bucket, key):
        answer = self.request("HEAD", bucket, key)
        answer.read()
        return {k.lower(): v for k, v in answer.getheaders()} if answer.status == 200 else None

    def delete(self, bucket, key):
        self.call("DELETE", bucket, key)

    def uploads(self, bucket):
        text = self.call("GET", bucket, query={"uploads": ""})[1].decode()
        return re.findall(r"<UploadId>([^<]+)</UploadId>", text)


class Sums(S3):
    """tests/servers/s3 as a process that ends with us: S3 with additional checksums."""

    BUCKET, ID, SECRET = "sums", "FERRYTESTSUMS0000000", "sumsTestSecretKeyThatMustNeverShow000000"

    def __init__(self):
        command = ["node", os.path.join(ROOT, "tests", "servers", "s3", "main.js"), "--bucket", self.BUCKET, "--key",
                   f"{self.ID}:{self.SECRET}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        super().__init__(json.loads(self.process.stdout.readline())["port"], self.ID, self.SECRET)

    def ask(self, method, path, body=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        conn.request(method, path, body)
        text = conn.getresponse().read()
        conn.close()
        return json.loads(text)

    def wrong(self, operation):
        """From now on that operation's answers say another checksum; "" for none."""
        self.ask("POST", "/-/wrong", operation)

    def log(self, operation=None):
        """(status, code) of each such request so far."""
        return [(status, code) for name, status, code in self.ask("GET", "/-/log") if operation in (None, name)]

    def store(self, **over):
        return {"kind": "s3", "endpoint": f"http://127.0.0.1:{self.port}", "region": "us-east-1", "addressing": "path",
                "access_key": self.ID, "secret": self.SECRET, "verify": "crc32c", **over}

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Ceph(S3):
    """A real gateway: tests/ceph-dev.sh."""

    SOURCE, TARGET = "ferry-source", "ferry-target"

    def __init__(self, directory):
        self.directory = directory
        env = {**os.environ, "CEPH_DEV_BUCKETS": f"{self.SOURCE} {self.TARGET}", "CEPH_DEV_ACCESS_KEY": CEPH_ID,
               "CEPH_DEV_SECRET_KEY": CEPH_SECRET}
        out = subprocess.run([f"{ROOT}/tests/ceph-dev.sh", "up", directory], env=env, check=True, stdout=subprocess.PIPE, text=True)
        self.endpoint = re.search(r"^RGW_ENDPOINT=(\S+)$", out.stdout, re.M).group(1)
        super().__init__(int(self.endpoint.rpartition(":")[2]), CEPH_ID, CEPH_SECRET)

    def store(self, **over):
        return {"kind": "s3", "endpoint": self.endpoint, "region": "us-east-1", "addressing": "path", "access_key": CEPH_ID,
                "secret": CEPH_SECRET, **over}

    def stop(self):
        subprocess.run([f"{ROOT}/tests/ceph-dev.sh", "down", self.directory], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)
