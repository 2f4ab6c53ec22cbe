"""The stores of the tests: the COS and the S3 endpoint as processes, a real Ceph gateway, a real Swift, with a small S3 client."""

import datetime
import email.header
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
from rig import ROOT, patience

BUCKET = "ferry-1250000000"
REGION = "ap-guangzhou"
COS_ID, COS_SECRET = "AKIDtestaccesskey0000000000000000000", "cosTestSecretKeyThatMustNeverShow"
CEPH_ID, CEPH_SECRET = "FERRYTESTACCESS00000", "cephTestSecretKeyThatMustNeverShow000000"
SWIFT_SECRET = "swiftTestSecretKeyThatMustNeverShow"


def decoded(value):
    """The text of a header: bytes of UTF-8 that were read as latin-1, or the encoded words of RFC 2047."""
    words = email.header.decode_header(value.encode("latin-1").decode())
    return "".join(text if isinstance(text, str) else text.decode(charset or "ascii") for text, charset in words)


class Cos:
    """tests/servers/cos as a process that exits when the tests do.  The methods use its control port."""

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
        """Returns received bytes of bodies by part number (0 is a PUT of the whole object), of broken requests too."""
        return {int(n): b for n, b in self.ask("GET", "/counters").get(f"{bucket}/{key}", {}).items()}

    def faults(self, *rules):
        self.ask("POST", "/faults", list(rules))

    def fault(self, action, times=None, **match):
        rule = {"match": match, "action": action}
        if times is not None:
            rule["times"] = times
        self.faults(rule)

    def keys(self, more):
        """Accepts keys from now on, too: {id: {"secret", "token", "until"}}; None ends one."""
        self.ask("POST", "/keys", more)

    def refusals(self):
        """The codes of the requests that were refused for their keys."""
        return [e["code"] for e in self.log() if e["status"] in (401, 403)]

    def rate(self, bytes_per_second):
        self.ask("POST", "/rate", {"bytes": bytes_per_second})

    def held(self):
        return self.ask("GET", "/held")

    def release(self):
        self.ask("POST", "/release", {})

    def reset(self):
        self.ask("POST", "/reset", {})

    def store(self, port=None, **over):
        """port: the port of a wire that leads to this endpoint."""
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
    """A minimal S3 client: Signature Version 4, unsigned payload, path style."""

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
        """Sends a request; returns the response, whose body is still unread."""
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
        """Sends a request that must succeed; returns (response, body)."""
        answer = self.request(method, bucket, key, **options)
        body = answer.read()
        assert answer.status < 300, f"{method} {bucket}/{key}: {answer.status} {body[:500]}"
        return answer, body

    def put(self, bucket, key, body, **headers):
        self.call("PUT", bucket, key, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put_content(self, bucket, key, seed, size, tee=None):
        """Puts the content of a seed, made while it is sent; tee() gets each piece."""
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
    """tests/servers/s3, S3 with additional checksums, as a process that exits when the tests do."""

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
        """Makes the answers to this operation state a wrong checksum from now on; "" makes all right again."""
        self.ask("POST", "/-/wrong", operation)

    def encrypt(self, kind):
        """Encrypts by default from now on, as main.js says; "" ends this."""
        self.ask("POST", "/-/encrypt", kind)

    def keys(self, more):
        """Accepts keys from now on, too: {id: {"secret", "token", "until"}}; None ends one."""
        self.ask("POST", "/-/keys", json.dumps(more))

    def refusals(self):
        """The codes of the requests that were refused for their keys."""
        return [code for status, code in self.log() if status in (401, 403) or code == "ExpiredToken"]

    def deny(self, *operations):
        self.ask("POST", "/-/deny", " ".join(operations))

    def swap(self, key):
        """Another program replaces the object right after the next HEAD of it."""
        self.ask("POST", "/-/swap", key)

    def without_conditions(self):
        """Answers 501 to a condition on DELETE."""
        self.ask("POST", "/-/conditions", "none")

    def headers(self, *pairs):
        """Adds headers to the answers to GetObject and HeadObject."""
        self.ask("POST", "/-/headers", json.dumps(pairs))

    def behave(self, **ways):
        """Makes the endpoint behave as other servers do, as main.js says."""
        self.ask("POST", "/-/behave", json.dumps(ways))

    def encryption(self, key):
        return self.ask("GET", "/-/objects")[key]

    def log(self, operation=None):
        """Returns (status, code) of each such request so far."""
        return [(status, code) for name, status, code in self.ask("GET", "/-/log") if operation in (None, name)]

    def store(self, **over):
        return {"kind": "s3", "endpoint": f"http://127.0.0.1:{self.port}", "region": "us-east-1", "addressing": "path",
                "access_key": self.ID, "secret": self.SECRET, "verify": "crc32c", **over}

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Machine(S3):
    """A real store that a script below tests/ starts and stops, with the buckets SOURCE and TARGET."""

    SOURCE, TARGET = "ferry-source", "ferry-target"
    key_in_parts = 1024  # the longest key of an object of parts, in bytes
    script = prefix = endpoint_name = identity = secret_key = None

    def __init__(self, directory, **environment):
        self.directory = directory
        self.environment = {**os.environ, f"{self.prefix}_BUCKETS": f"{self.SOURCE} {self.TARGET}",
                            f"{self.prefix}_ACCESS_KEY": self.identity, f"{self.prefix}_SECRET_KEY": self.secret_key,
                            f"{self.prefix}_TIMEOUT": str(int(60 * patience())), **environment}
        out = self.run("up", stdout=subprocess.PIPE, text=True).stdout
        self.endpoint = re.search(rf"^{self.endpoint_name}=(\S+)$", out, re.M).group(1)
        super().__init__(int(self.endpoint.rpartition(":")[2]), self.identity, self.secret_key)

    def run(self, command, **options):
        return subprocess.run([f"{ROOT}/tests/{self.script}", command, self.directory], env=self.environment, check=True, **options)

    def store(self, **over):
        return {"kind": "s3", "endpoint": self.endpoint, "region": "us-east-1", "addressing": "path", "access_key": self.id,
                "secret": self.secret, **over}

    def stop(self):
        self.run("down")
        shutil.rmtree(self.directory, ignore_errors=True)


class Ceph(Machine):
    """A real Ceph gateway.  suite: the release of Debian that it comes from, if not this machine's."""

    script, prefix, endpoint_name, identity, secret_key = "ceph-dev.sh", "CEPH_DEV", "RGW_ENDPOINT", CEPH_ID, CEPH_SECRET

    def __init__(self, directory, suite=""):
        super().__init__(directory, CEPH_DEV_SUITE=suite)


class Swift(Machine):
    """A real OpenStack Swift with its S3 API."""

    key_in_parts = 960  # with the upload's id and the part's number the key of a part has at most 1024 bytes
    script, prefix, endpoint_name = "swift-dev.sh", "SWIFT_DEV", "S3_ENDPOINT"
    identity, secret_key = "ferrytest:carrier", SWIFT_SECRET
