"""Other programs that move the same objects, which a user would choose instead of ferryd."""

import os
import shlex
import shutil
import subprocess

from cost import measure
from rig import BUILD

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("curl", "rclone", "awscli", "s3cmd", "python3-boto3", "python3-requests", "python3-awscrt", "nginx")

AWS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret", "AWS_DEFAULT_REGION": "us-east-1",
       "AWS_EC2_METADATA_DISABLED": "true"}

# an application that streams, in pieces of a usual size
CHUNKED = """
import boto3, requests, sys
source, endpoint, scratch = sys.argv[1:]
with requests.get(source, stream=True) as r, open(scratch, "wb") as f:
    for piece in r.iter_content(512 * 1024):
        f.write(piece)
boto3.client("s3", endpoint_url=endpoint).upload_file(scratch, "bench", "boto3-chunked")
"""

# an application that does not stream
WHOLE = """
import boto3, io, requests, sys
source, endpoint, scratch = sys.argv[1:]
body = requests.get(source).content
boto3.client("s3", endpoint_url=endpoint).upload_fileobj(io.BytesIO(body), "bench", "boto3-whole")
"""

POOL = """
import boto3, botocore.config, concurrent.futures, sys
endpoint, bucket, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s3 = boto3.client("s3", endpoint_url=endpoint, config=botocore.config.Config(max_pool_connections=16))
def copy(i):
    body = s3.get_object(Bucket="bench", Key=f"size-4096-{i:08d}")["Body"].read()
    s3.put_object(Bucket=bucket, Key=str(i), Body=body)
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(copy, range(count)))
"""

PUT = ["curl", "-sS", "-f", "-o", "/dev/null", "-H", "Expect:"]


def absent(*programs):
    """Returns the reason why these programs cannot be run, or None."""
    missing = [p for p in programs if shutil.which(p, path="/usr/bin:/bin") is None]
    return f"{', '.join(missing)} not installed" if missing else None


def absent_modules(*modules):
    code = "import " + ", ".join(modules)
    return None if subprocess.run(["/usr/bin/python3", "-c", code], stderr=subprocess.DEVNULL).returncode == 0 else \
        f"{', '.join(modules)} of /usr/bin/python3 not installed"


def rclone_env(scratch, **endpoints):
    """Returns environment variables that define remotes.  There are two, so that rclone asks for no copy inside the server."""
    env = {"RCLONE_CONFIG": "/dev/null", "HOME": scratch}
    for name, endpoint in endpoints.items():
        for key, value in (("TYPE", "s3"), ("PROVIDER", "Other"), ("ENDPOINT", endpoint), ("ACCESS_KEY_ID", "bench"),
                           ("SECRET_ACCESS_KEY", "benchsecret")):
            env[f"RCLONE_CONFIG_{name.upper()}_{key}"] = value
    return env


def throwing_away(path, run):
    """Returns a function that calls run and then removes the file that run leaves."""
    def wrapped():
        cost = run()
        if os.path.exists(path):
            os.unlink(path)
        return cost
    return wrapped


def large(source, sink, md5_sink, size, shm):
    """
    Clients that copy one object of size bytes from source/bench/object, or the file shm/bench/object, into sink.  Yields a client's
    name, the reason why it cannot run or None, its sink, the bytes that must arrive there, and a function that runs it and
    returns its Cost.
    """
    url, local, scratch = f"{source.url}/bench/object", f"{shm}/bench/object", f"{shm}/scratch"
    get, aws = ["curl", "-sS", "-f", url], {**AWS, "HOME": shm}
    rclone, python = rclone_env(shm, src=source.url, sink=sink.url), absent_modules("boto3", "requests")

    yield "curl GET only", None, sink, 0, lambda: measure(["curl", "-sS", "-f", "-o", "/dev/null", url])
    yield "curl PUT only", None, sink, size, lambda: measure([*PUT, "-T", local, f"{sink.url}/bench/curl-put"])
    for name, how in (("no client at all: recv, CRC64, send in a loop", []), ("the same by splice, with tee for the CRC64", ["-z"])):
        yield name, None, sink, size, lambda how=how: measure(
            [f"{BUILD}/tests/floor", *how, str(source.port), "/bench/object", str(sink.port), "/bench/floor"])
    yield "curl \\| curl", None, sink, size, lambda: measure([get, [*PUT, "-T", "-", "-H", f"Content-Length: {size}", "-H",
        "Transfer-Encoding:", f"{sink.url}/bench/curl-pipe"]])
    yield "rclone copyurl", absent("rclone"), sink, size, lambda: measure(
        ["rclone", "copyurl", url, "sink:bench/rclone-url", "--s3-no-check-bucket"], rclone)
    yield "rclone copyto, S3 to S3", absent("rclone"), sink, size, lambda: measure(
        ["rclone", "copyto", "src:bench/object", "sink:bench/rclone", "--s3-no-check-bucket", "--no-check-dest"], rclone)
    yield "rclone copyto, parts of 16 MiB, no checksums", absent("rclone"), sink, size, lambda: measure(
        ["rclone", "copyto", "src:bench/object", "sink:bench/rclone-16", "--s3-no-check-bucket", "--no-check-dest",
         "--s3-chunk-size", "16M", "--s3-disable-checksum", "--ignore-checksum", "--s3-no-head"], rclone)
    yield "aws s3 cp FILE (PUT only)", absent("aws"), sink, size, lambda: measure(
        ["aws", "--endpoint-url", sink.url, "s3", "cp", "--only-show-errors", local, "s3://bench/aws-file"], aws)
    yield "curl \\| aws s3 cp -", absent("aws"), sink, size, lambda: measure([get,
        ["aws", "--endpoint-url", sink.url, "s3", "cp", "--only-show-errors", "-", "s3://bench/aws", "--expected-size", str(size)]], aws)
    # s3cmd compares ETags with MD5s, so it needs a sink that makes these
    yield "curl \\| s3cmd put -", absent("s3cmd"), md5_sink, size, lambda: measure([get,
        ["s3cmd", "--no-ssl", f"--host=127.0.0.1:{md5_sink.port}", f"--host-bucket=127.0.0.1:{md5_sink.port}", "--quiet",
         "--access_key=bench", "--secret_key=benchsecret", "put", "-", "s3://bench/s3cmd"]], {"HOME": shm})
    for name, code in (("requests, 512 KiB chunks to a file; boto3", CHUNKED), ("requests in one piece; boto3", WHOLE)):
        yield name, python, sink, size, throwing_away(scratch, lambda code=code: measure(
            ["/usr/bin/python3", "-c", code, url, sink.url, scratch], aws))


def awscrt(source, sink, size, shm):
    """aws-c-s3, if port 80 is free: from address source into sink, through a file in memory.  Yields what large() yields."""
    why_not = absent_modules("awscrt.s3") or (None if sink else "needs port 80 of two loopback addresses")
    for name, tuning in (("aws-c-s3 GET to a file in memory, PUT; defaults", []), ("the same, 1 thread, 1 Gbit/s", ["1", "1", "8"]),
                         ("the same, 2 threads, 5 Gbit/s, parts of 16 MiB", ["2", "5", "16"])):
        yield name, why_not, sink, size, throwing_away(f"{shm}/scratch", lambda tuning=tuning: measure(
            ["/usr/bin/python3", f"{HERE}/awscrt_copy.py", f"{source},{sink.address}", f"{shm}/scratch", *tuning],
            {**AWS, "HOME": shm}))


def curl_tls(source, sink, tls, certificate, shm, size):
    """An upload over TLS, with which the rows over TLS are compared."""
    return "curl PUT only, TLS", None, sink, size, lambda: measure(
        [*PUT, "--cacert", certificate, "-T", f"{shm}/bench/object", f"https://127.0.0.1:{tls.port}/bench/curl-tls"])


def curl_config(path, urls):
    """Writes a file for curl -K from tuples (option, file, URL)."""
    with open(path, "w") as f:
        for option, name, url in urls:
            f.write(f'{option} = "{name}"\nurl = "{url}"\n')
    return path


def small(server, count, shm, turn):
    """
    Clients that copy count objects of 4 KiB from server to server.  Yields a client's name, the reason why it cannot run or None,
    how many objects it copies (slow ones copy fewer), and a function that runs it and returns its Cost.  turn makes names new.
    """
    rclone = rclone_env(shm, src=server.url, sink=server.url)
    bucket, few = f"sink-{turn}", min(count, 500)
    source = f"{server.url}/bench/size-4096-"
    fast = ["--s3-no-head", "--s3-no-head-object", "--ignore-checksum", "--s3-disable-checksum"]

    for transfers in (8, 32):
        for what, flags in (("unverified, best flags", fast), ("verified", [])):
            yield (f"rclone, {transfers} transfers, {what}", absent("rclone"), count, lambda t=transfers, flags=flags: measure(
                ["rclone", "copy", f"src:small-{count}", f"sink:{bucket}-{t}-{len(flags)}", "--transfers", str(t), "--checkers", str(t),
                 "--no-traverse", "--no-check-dest", "--use-server-modtime", "--s3-no-check-bucket", *flags], rclone))

    pipe = (f"curl -sS -f {source}$1 | curl -sS -f -o /dev/null -T - -H Expect: -H 'Content-Length: 4096' -H Transfer-Encoding: "
            f"{server.url}/{bucket}-$0/$1")
    yield "curl \\| curl an object", None, few, lambda: measure(
        ["sh", "-c", f"seq 1 {few} | while read i; do sh -c {shlex.quote(pipe)} pipe $i; done"])
    yield "curl \\| curl an object, 8 at once", None, few, lambda: measure(
        ["sh", "-c", f"seq 1 {few} | xargs -P 8 -n 1 sh -c {shlex.quote(pipe)} xargs"])

    def parallel():
        os.makedirs(f"{shm}/small", exist_ok=True)
        get = curl_config(f"{shm}/get", [("output", f"{shm}/small/{i}", f"{source}{i}") for i in range(count)])
        put = curl_config(f"{shm}/put", [("upload-file", f"{shm}/small/{i}", f"{server.url}/{bucket}-z/{i}") for i in range(count)])
        flags = ["curl", "-sS", "-f", "-Z", "--parallel-max", "16", "-H", "Expect:"]
        return measure(["sh", "-c", f"{shlex.join([*flags, '-K', get])} && exec {shlex.join([*flags, '-K', put])}"])
    yield "curl -Z for all, GET to files in memory, then PUT", None, count, parallel
    some = min(count, 2000)
    yield "boto3, 16 threads", absent_modules("boto3"), some, lambda: measure(
        ["/usr/bin/python3", "-c", POOL, server.url, f"{bucket}-boto3", str(some)], {**AWS, "HOME": shm})
