"""etc/kubernetes: the files obey the schemas, name keys that ferryd has, and fit to each other and to ferryd's defaults."""

import json
import os
import re
import subprocess

import psycopg2
import pytest
import yaml

from rig import BUILD, ROOT


def objects(name):
    with open(f"{ROOT}/etc/kubernetes/{name}.yaml") as f:
        return {o["kind"]: o for o in yaml.safe_load_all(f)}


def pod():
    return objects("ferryd")["Deployment"]["spec"]["template"]["spec"]


def validate(documents):
    return subprocess.run(["node", f"{ROOT}/tests/system/kubernetes.mjs"], input=json.dumps(documents), text=True,
                          capture_output=True)


@pytest.mark.parametrize("name", ["ferryd", "keda"])
def test_objects_obey_the_schemas_of_their_kinds(name):
    documents = list(objects(name).values())
    done = validate(documents)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(documents)
    documents[-1]["spec"]["surprise"] = {}
    documents[-1]["spec"]["replicas" if name == "ferryd" else "maxReplicaCount"] = "many"
    assert validate(documents).returncode != 0, "a wrong type is seen"


def test_configuration_is_accepted_and_its_secrets_are_mounted(tmp_base):
    text = objects("ferryd")["ConfigMap"]["data"]["ferryd.conf"]
    items = pod()["volumes"][0]["projected"]["sources"][1]["secret"]["items"]
    assert sorted(re.findall(r'"/etc/ferryd/(secret/.*)"', text)) == sorted(item["path"] for item in items)
    os.mkdir(f"{tmp_base}/secret")
    for item in items:
        with open(f"{tmp_base}/{item['path']}", "w") as f:
            f.write("secret")
        os.chmod(f.name, pod()["volumes"][0]["projected"]["defaultMode"])
    with open(f"{tmp_base}/ferryd.conf", "w") as f:
        f.write(text.replace("/etc/ferryd", tmp_base) + 'user = "root"\n')
    subprocess.run([f"{BUILD}/ferryd", "-t", "-f", f.name], check=True)


def test_pod_outlives_the_grace_of_ferryd_and_holds_its_memory(tmp_base):
    text = objects("ferryd")["ConfigMap"]["data"]["ferryd.conf"]
    with open(f"{tmp_base}/ferryd.conf", "w") as f:
        f.write('database = "dbname=d"\n')
    shown = subprocess.run([f"{BUILD}/ferryd", "-T", "-f", f.name], check=True, capture_output=True, text=True).stdout
    assert int(re.search(r'^grace = "(\d+)s"', shown, re.M).group(1)) + 5 <= pod()["terminationGracePeriodSeconds"]
    workers, megabytes = int(re.search(r"workers = (\d+)", text).group(1)), int(re.search(r'memory = "(\d+)M"', text).group(1))
    limit = int(pod()["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert workers * megabytes + 8 <= limit
    assert objects("keda")["ScaledObject"]["spec"]["triggers"][0]["metadata"]["targetQueryValue"] == str(workers)


def test_scaler_counts_what_a_producer_may_see(db):
    query = objects("keda")["ScaledObject"]["spec"]["triggers"][0]["metadata"]["query"]
    for delay in ("0", "0", "1 day"):
        db.sql("INSERT INTO ferry.task (source, destination, run_at) VALUES ('a://b/c', 'd://e/' || gen_random_uuid(),"
               " now() + %s::interval)", (delay,))
    db.sql("CREATE ROLE ferry_scaler_test LOGIN IN ROLE ferry_producer")
    try:
        with psycopg2.connect(db.conninfo("ferry_scaler_test")) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            assert cursor.fetchone() == (2,)
        connection.close()
    finally:
        db.sql("DROP ROLE ferry_scaler_test")
