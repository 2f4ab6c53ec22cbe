"""
GET and PUT with aws-c-s3 through Debian's binding (python3-awscrt) and a file in memory.

  awscrt_copy.py SOURCE,SINK SCRATCH [THREADS GBPS PART_MIB]

GBPS determines the number of connections.  This version of the binding knows port 80 only, computes no CRC64, and cannot change the
16 KiB of its reads and writes.
"""

import os
import sys

from awscrt import auth, http, io, s3

hosts, scratch, *tuning = sys.argv[1:]
threads, gbps, part = (int(tuning[0]), float(tuning[1]), int(tuning[2]) << 20) if tuning else (None, None, None)
loops = io.EventLoopGroup(threads)
client = s3.S3Client(bootstrap=io.ClientBootstrap(loops, io.DefaultHostResolver(loops)), region="us-east-1",
                     tls_mode=s3.S3RequestTlsMode.DISABLED, part_size=part, throughput_target_gbps=gbps,
                     credential_provider=auth.AwsCredentialsProvider.new_static("bench", "benchsecret"))


def run(method, source, kind, headers=(), **paths):
    headers = http.HttpHeaders([("Host", source), *headers])
    request = http.HttpRequest(method, "/bench/object" if method == "GET" else "/bench/awscrt", headers)
    transfer = client.make_request(request=request, type=kind, **paths)
    done, closed = transfer.finished_future, transfer.shutdown_event
    done.result()
    del transfer  # this flushes the file
    closed.wait()


source, sink = hosts.split(",")
run("GET", source, s3.S3RequestType.GET_OBJECT, recv_filepath=scratch)
run("PUT", sink, s3.S3RequestType.PUT_OBJECT, [("Content-Length", str(os.path.getsize(scratch)))], send_filepath=scratch)
