"""Headers and metadata are carried whole, or the task says which of them are not."""

import urllib.parse

import pytest

from content import content_bytes
from rig import MIB
from stores import BUCKET, Sums, decoded

PART = 5 * MIB
SIZES = [1000, PART + 1]  # one PUT; an upload of two parts
GREEN = "grün, 緑, 📈"


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def carry(ferryd, db, ceph, cos, spool):
    """carry(headers, destination, ...) carries an object of Ceph with these headers; returns the ended row."""
    daemon = ferryd({"ceph": ceph.store(copy="never"), "cos": cos.store(), "some": cos.store(metadata_loss="warn"),
                     "spool": spool.store()}, workers=1, retry_delay="10ms")

    def run(headers, destination, size=1000, **columns):
        ceph.call("PUT", ceph.SOURCE, "meta", body=content_bytes("m", size), headers=headers)
        return db.wait(db.put(f"ceph://{ceph.SOURCE}/meta", destination, **columns))
    run.daemon = daemon
    yield run
    for bucket in (ceph.SOURCE, ceph.TARGET):
        ceph.request("DELETE", bucket, "meta").read()


def metadata(headers, prefix):
    return {name.removeprefix(prefix): decoded(value) for name, value in headers.items() if name.startswith(prefix)}


@pytest.mark.parametrize("size", SIZES)
def test_long_headers_and_ten_kib_of_metadata_are_carried_whole(carry, db, ceph, size):
    headers = {"content-type": "video/mp4; codecs=\"" + "x" * 400 + "\"", "cache-control": ", ".join(["max-age=60"] * 50),
               "content-disposition": 'attachment; filename="' + "緑" * 200 + '.mp4"', "content-language": ", ".join(["de"] * 50),
               "content-encoding": ", ".join(["gzip"] * 40), **{f"x-amz-meta-n{i}": "v" * 350 for i in range(15)},
               "x-amz-meta-long": "w" * 3000}
    row = carry(headers, f"ceph://{ceph.TARGET}/meta", size)
    assert row["state"] == "done" and row["warning"] is None, row["error"]
    found = ceph.head(ceph.TARGET, "meta")
    assert {name: decoded(found[name]) for name in headers} == headers


@pytest.mark.parametrize("count", [1, 200])
def test_ceph_takes_what_the_table_of_limits_says(carry, db, ceph, monkeypatch, count):
    """12,288 bytes: each name twice, since the signature lists it, each value, and 4 bytes more a header."""
    monkeypatch.setattr("http.client._MAXHEADERS", 1000)
    size = (12288 - 2 * len("content-type") - 4 - len("a/b")) // count - 2 * len("x-amz-meta-n000") - 4
    headers = {"content-type": "a/b", **{f"x-amz-meta-n{i:03}": "v" * size for i in range(count)}}
    row = carry(headers, f"ceph://{ceph.TARGET}/meta", size=1000)
    assert row["state"] == "done", row["error"]
    found = ceph.head(ceph.TARGET, "meta")
    assert {name: found[name] for name in headers} == headers
    if count == 1:
        row = carry({**headers, "x-amz-meta-n000": "v" * (size + 1)}, f"ceph://{ceph.TARGET}/meta")
        assert row["state"] == "failed" and f"x-amz-meta-n000 ({size + 1} bytes: over the 12288" in row["error"]


def test_metadata_of_a_row_may_be_as_large_as_the_store_takes_it(carry, db, ceph, cos):
    big = {f"n{i}": "v" * 300 for i in range(24)}
    row = carry({"x-amz-meta-old": "x"}, f"ceph://{ceph.TARGET}/meta", metadata=big)
    assert row["state"] == "done" and metadata(ceph.head(ceph.TARGET, "meta"), "x-amz-meta-") == big
    row = carry({}, f"cos://{BUCKET}/out", metadata=big)
    assert row["state"] == "failed" and "x-cos-meta-n14 (303 bytes: over the 2048 of all metadata)" in row["error"]


@pytest.mark.parametrize("size", SIZES)
def test_what_the_store_does_not_take_fails_the_task_with_its_name_and_size(carry, db, cos, size):
    row = carry({"x-amz-meta-large": "v" * 7000, "x-amz-meta-a": "1"}, f"cos://{BUCKET}/out", size)
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    assert "x-cos-meta-large (7005 bytes: over the 2048 of all metadata)" in row["error"]
    assert cos.object("out") is None and cos.uploads() == [] and cos.log("put") == cos.log("initiate") == []


@pytest.mark.parametrize("size", SIZES)
def test_what_the_store_does_not_take_is_a_warning_if_the_store_says_so(carry, db, cos, size):
    row = carry({"x-amz-meta-large": "v" * 7000, "x-amz-meta-a": "1", "content-type": "a/b"}, f"some://{BUCKET}/out", size)
    assert row["state"] == "done" and row["error"] is None, row["error"]
    assert row["warning"].startswith("not carried: x-cos-meta-large (7005 bytes: ")
    headers = cos.object("out")["headers"]
    assert metadata(headers, "x-cos-meta-") == {"a": "1"} and headers["content-type"] == "a/b"
    assert f"task {row['id']}: not carried: x-cos-meta-large" in carry.daemon.log_text()


def test_two_kb_of_metadata_are_names_and_values_without_the_prefix(carry, db, cos):
    fits = {"x-amz-meta-name": "v" * 2000, "x-amz-meta-b": "v" * 43}
    assert carry(fits, f"cos://{BUCKET}/out")["state"] == "done"
    row = carry({**fits, "x-amz-meta-b": "v" * 44}, f"cos://{BUCKET}/out2")
    assert row["state"] == "failed" and cos.object("out2") is None


def test_names_that_become_the_same_fail_the_task(carry, db, cos):
    headers = {"x-amz-meta-a_b": "1", "x-amz-meta-a.b": "2"}
    row = carry(headers, f"cos://{BUCKET}/out")
    assert row["state"] == "failed" and "x-cos-meta-a-b (another name becomes the same)" in row["error"]
    row = carry(headers, f"some://{BUCKET}/out")
    assert row["state"] == "done" and "x-cos-meta-a-b (another name becomes the same)" in row["warning"]


def test_text_that_is_not_ascii_goes_around_and_comes_back_the_same(carry, db, ceph, cos):
    """Ceph gives UTF-8 as it was put; COS gets UTF-8; S3 gets the words of RFC 2047; COS gets UTF-8 from those."""
    assert carry({"x-amz-meta-green": GREEN}, f"cos://{BUCKET}/one")["state"] == "done"
    db.done(db.put(f"cos://{BUCKET}/one", f"ceph://{ceph.TARGET}/meta"))
    db.done(db.put(f"ceph://{ceph.TARGET}/meta", f"cos://{BUCKET}/two"))
    for key in ("one", "two"):
        assert cos.object(key)["headers"]["x-cos-meta-green"].encode("latin-1").decode() == GREEN
    there = ceph.head(ceph.TARGET, "meta")["x-amz-meta-green"]
    assert there.startswith("=?UTF-8?B?") and decoded(there) == GREEN
    db.done(db.put("ceph://{}/meta".format(ceph.TARGET), f"ceph://{ceph.SOURCE}/meta"))
    assert ceph.head(ceph.SOURCE, "meta")["x-amz-meta-green"] == there


def test_metadata_that_is_no_text_fails_the_task(ferryd, db, sums, cos):
    ferryd({"sums": sums.store(), "cos": cos.store(), "some": cos.store(metadata_loss="warn")}, workers=1)
    sums.put(Sums.BUCKET, "odd", b"x" * 1000)
    for name, value, why in (("x-amz-meta-odd", "\xfc", "its value is neither ASCII nor UTF-8"),
                             ("x-amz-missing-meta", "1", "the store states metadata that it does not show"),
                             ("x-amz-meta-a~b", "1", "are what a name may have"),
                             ("x-amz-meta-twice", ["1", "2"], "the source states it twice"),
                             ("Expires", ["0", "1"], "the source states it twice")):
        sums.headers([name, value])
        row = db.wait(db.put(f"sums://{Sums.BUCKET}/odd", f"cos://{BUCKET}/out"))
        assert (row["state"], row["error_class"]) == ("failed", "permanent") and why in row["error"], row["error"]
        assert cos.object("out") is None
        row = db.done(db.put(f"sums://{Sums.BUCKET}/odd", f"some://{BUCKET}/out"))
        assert why in row["warning"]
        row = db.done(db.put(f"sums://{Sums.BUCKET}/odd", f"cos://{BUCKET}/out", metadata={"a": "b"}, content_type="c/d"))\
            if name.startswith("x-amz") else row
        assert name == "Expires" or row["warning"] is None
        cos.reset()


def test_a_list_in_two_headers_is_one_list(ferryd, db, sums, cos):
    ferryd({"sums": sums.store(), "cos": cos.store()}, workers=1)
    sums.put(Sums.BUCKET, "list", b"x" * 1000)
    sums.headers(["Cache-Control", ["private", "max-age=60"]])
    assert db.done(db.put(f"sums://{Sums.BUCKET}/list", f"cos://{BUCKET}/out"))["warning"] is None
    assert cos.object("out")["headers"]["cache-control"] == "private, max-age=60"


def test_a_copy_by_the_store_needs_no_room_for_headers(ferryd, db, cos, spool):
    """CopyObject keeps what the object has.  A row that gives other metadata is held to the limit."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    db.done(db.put(spool.put("o", 1000), f"cos://{BUCKET}/from", metadata={"a": "v" * 2000}))
    assert db.done(db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/to"))["verified_by"] == "crc64"
    assert len(cos.log("copy")) == 1
    row = db.wait(db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/too", metadata={"a": "v" * 2100}))
    assert row["state"] == "failed" and "x-cos-meta-a (2101 bytes: " in row["error"] and cos.object("too") is None


def test_a_file_keeps_bytes_only_whatever_the_headers_are(carry, db, spool):
    row = carry({"x-amz-meta-large": "v" * 7000}, "spool://out")
    assert row["state"] == "done" and row["warning"] is None


def test_a_url_gives_its_headers(ferryd, db, cos, ceph, origin):
    ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"], "private": True})
    name = urllib.parse.quote("緑" * 300)
    ceph.call("PUT", ceph.SOURCE, "public", body=b"x" * 1000, headers={"x-amz-acl": "public-read", "content-disposition": name})
    row = db.done(db.put(f"{ceph.endpoint}/{ceph.SOURCE}/public", f"cos://{BUCKET}/out"))
    assert row["warning"] is None and cos.object("out")["headers"]["content-disposition"] == name
    ceph.delete(ceph.SOURCE, "public")


def test_a_value_that_no_request_can_have_fails_the_task(ferryd, db, cos, origin):
    ferryd({"cos": cos.store(), "some": cos.store(metadata_loss="warn")}, workers=1, http={"allow": ["127.0.0.1"], "private": True})
    for name, value in (("Content-Disposition", "a\x01b"), ("x-amz-meta-odd", "a\tb"), ("x-cos-meta-odd", "a\x7f")):
        url = origin.url("/size/1000?header=" + urllib.parse.quote(f"{name}:{value}"))
        row = db.wait(db.put(url, f"cos://{BUCKET}/out"))
        assert (row["state"], row["error_class"]) == ("failed", "permanent") and cos.object("out") is None
        assert f"{name} (its value has a control character)" in row["error"], row["error"]
        row = db.done(db.put(url, f"some://{BUCKET}/out"))
        assert row["warning"] == f"not carried: {name} (its value has a control character)"
        cos.reset()
