"""Checks the tests' own servers and checksum against known values: Ceph, the HTTP origin, the CRC64."""

import http.client

from content import content_bytes, crc64_bytes, crc64_content
from rig import MIB


def test_checksum_matches_the_documented_values():
    assert crc64_bytes(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64_bytes(b"[Object Part]") == 4510578591875220731
    assert crc64_content("x", 3 * MIB + 1) == crc64_bytes(content_bytes("x", 3 * MIB + 1))


def test_ceph_keeps_odd_keys(ceph):
    key = "rig/ü 日本 +&=%~?#'()*!:;@,$//../x"
    ceph.put(ceph.SOURCE, key, b"odd", content_type="text/odd")
    assert ceph.get(ceph.SOURCE, key) == b"odd"
    assert ceph.head(ceph.SOURCE, key)["content-type"] == "text/odd"
    ceph.delete(ceph.SOURCE, key)
    assert ceph.head(ceph.SOURCE, key) is None


def test_origin_serves_ranges_of_one_object(origin):
    conn = http.client.HTTPConnection("127.0.0.1", origin.port)
    conn.request("GET", "/size/3000000?seed=s", headers={"Range": "bytes=1048570-1048585"})
    answer = conn.getresponse()
    assert answer.status == 206 and answer.read() == content_bytes("s", 3000000)[1048570:1048586]
    conn.request("GET", "/size/3000000?seed=s", headers={"If-Match": '"other"'})
    answer = conn.getresponse()
    assert answer.status == 412 and answer.read() == b""
    assert [r.path for r in origin.requests] == ["/size/3000000"] * 2
