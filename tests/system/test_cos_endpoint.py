"""The COS endpoint judges ferryd's COS dialect; here the vendor's own client judges the endpoint."""

import http.client
import json
import subprocess

from content import crc64_file, write_content
from rig import MIB, ROOT
from stores import BUCKET, COS_ID, COS_SECRET, REGION


def test_cos_endpoint_serves_the_vendors_own_client(cos, tmp_base):
    path, size = f"{tmp_base}/object", 3 * MIB + 12345
    write_content(path, "vendor", size)
    out = subprocess.run(["node", f"{ROOT}/tests/servers/cos/client.js", str(cos.port), BUCKET, REGION, COS_ID, COS_SECRET, path],
                         check=True, stdout=subprocess.PIPE, timeout=60).stdout
    seen = json.loads(out)
    etags = {name: seen.pop(name) for name in ("slicedEtag", "completed")}
    assert etags["slicedEtag"].endswith('-4"') and etags["completed"].endswith('-3"')
    assert seen == {
        "putCrc": "4510578591875220731", "headCrc": "4510578591875220731", "headLength": "13", "headType": "text/x-test",
        "headMeta": "green", "body": "[Object Part]", "range": "Object", "ifMatch": "PreconditionFailed", "slicedSame": True,
        "slicedCrc": str(crc64_file(path)), "pageOne": "1,2", "pageOneTruncated": "true", "pageTwo": "3", "uploads": "by hand",
        "gap": "InvalidPart", "again": "NoSuchUpload", "afterAbort": "NoSuchUpload", "afterDelete": "NoSuchKey",
        "wrongSecret": "SignatureDoesNotMatch", "unknownKey": "InvalidAccessKeyId", "otherBucket": "NoSuchBucket",
    }


def cos_answer(cos, host, path="/x", **headers):
    conn = http.client.HTTPConnection("127.0.0.1", cos.port, timeout=10)
    conn.request("GET", path, headers={"Host": host, **headers})
    answer = conn.getresponse()
    return answer.status, answer.read().decode()


def test_cos_endpoint_refuses_path_style_and_unsigned_requests(cos):
    status, body = cos_answer(cos, f"cos.{REGION}.myqcloud.com", f"/{BUCKET}/x")
    assert status == 403 and "PathStyleDomainForbidden" in body
    host = f"{BUCKET}.cos.{REGION}.myqcloud.com"
    assert cos_answer(cos, host)[0] == 403
    assert cos_answer(cos, host, Authorization="AWS4-HMAC-SHA256 Credential=x")[0] == 403
    assert cos_answer(cos, f"{BUCKET}.cos.ap-elsewhere.myqcloud.com")[0] == 404
    expired = "q-sign-algorithm=sha1&q-ak=%s&q-sign-time=1;1000000000&q-key-time=1;1000000000&q-header-list=host" % COS_ID
    status, body = cos_answer(cos, host, Authorization=expired + "&q-url-param-list=&q-signature=" + "0" * 40)
    assert status == 403
