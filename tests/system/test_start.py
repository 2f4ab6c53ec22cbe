"""What a start says: it fails where only an operator can help, it waits where time may, and each message names what would mend it."""

import contextlib
import os
import re
import socket

import psycopg2
import pytest

from rig import ACCOUNT, free_port, title, wait_until
from stores import BUCKET, Sums


def refused(daemon, *arguments):
    """Starts ferryd, which must end with EX_CONFIG; returns what it printed."""
    code, out, err = daemon.run(*arguments)
    assert code == 78, (code, out, err)
    return err.replace('\\"', '"')


def configured(ferryd, conninfo, **options):
    """A ferryd, not started, with this connection string."""
    daemon = ferryd({}, start=False, **options)
    daemon.conf["database"] = conninfo
    daemon.write()
    return daemon


# What stays until somebody acts

@contextlib.contextmanager
def passwords(pg):
    """The role of the daemon must give a password over TCP."""
    path = f"{pg.data}/pg_hba.conf"
    with open(path) as f:
        before = f.read()
    with open(path, "w") as f:
        f.write("host all ferry_test_daemon 127.0.0.1/32 scram-sha-256\n" + before)
    pg.admin("ALTER ROLE ferry_test_daemon PASSWORD 'right'", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with open(path, "w") as f:
            f.write(before)
        pg.admin("ALTER ROLE ferry_test_daemon PASSWORD NULL", "SELECT pg_reload_conf()")


def refuses(pg, db):
    try:
        psycopg2.connect(there(pg, db)).close()
    except psycopg2.OperationalError:
        return True


def there(pg, db, **over):
    keys = {"host": "127.0.0.1", "port": pg.port, "dbname": db.name, "user": "ferry_test_daemon", **over}
    return " ".join(f"{key}={value}" for key, value in keys.items())


@pytest.mark.parametrize("daemonize", [False, True], ids=["foreground", "daemon"])
@pytest.mark.parametrize("over, words", [
    ({"dbname": "absent"}, ['database "absent" does not exist', "create the database, or correct dbname"]),
    ({"user": "absent"}, ['role "absent" does not exist', "CREATE ROLE", "pg_hba.conf"]),
    ({"host": "localhost", "dbname": "absent"}, ['database "absent" does not exist', "correct dbname"]),
    ({"options": "-cno_such_setting=1"}, ["no_such_setting", "correct options"]),
    ({"sslmode": "require"}, ["does not support SSL", "sslmode"]),
    ({"port": 99999}, ["invalid port number", "correct port"]),
], ids=["database", "role", "name with two addresses", "options", "tls", "port"])
def test_what_never_works_by_itself_ends_the_start(ferryd, pg, db, over, words, daemonize):
    daemon = configured(ferryd, there(pg, db, **over), daemonize=daemonize)
    said = refused(daemon, *([] if daemonize else ["-d"]))
    assert "the database cannot be used: " in said and all(word in said for word in words), said
    assert "LOCATION" not in said and not re.search(r"FATAL:  [0-9A-Z]{5}: ", said), said


def test_a_password_that_is_wrong_or_missing_ends_the_start(ferryd, pg, db):
    with passwords(pg):
        daemon = configured(ferryd, there(pg, db, password="wrong"))
        wait_until(lambda: refuses(pg, db), 10)  # the server reads pg_hba.conf anew
        said = refused(daemon, "-d")
        assert "password authentication failed" in said and "PGPASSFILE" in said and "wrong" not in said
        said = refused(configured(ferryd, there(pg, db)), "-d")
        assert "no password supplied" in said and "PGPASSFILE" in said


def test_a_right_that_is_missing_ends_the_start(ferryd, pg, db):
    db.sql(f"REVOKE CONNECT ON DATABASE {db.name} FROM public")
    said = refused(ferryd({}, start=False), "-d")
    assert "permission denied for database" in said and "GRANT CONNECT" in said
    db.sql(f"GRANT CONNECT ON DATABASE {db.name} TO public")
    said = refused(configured(ferryd, db.conninfo("ferry_test_producer")), "-d")
    assert "permission denied" in said and "GRANT ferry_daemon" in said


def test_hosts_that_all_refuse_end_the_start_and_one_that_may_come_does_not(ferryd, pg, db):
    both = there(pg, db, host="127.0.0.1,127.0.0.1", port=f"{pg.port},{pg.port}", dbname="absent")
    assert "does not exist" in refused(configured(ferryd, both), "-d")
    one = there(pg, db, host="127.0.0.1,127.0.0.1", port=f"{pg.port},{free_port()}", dbname="absent")
    daemon = configured(ferryd, one).start(ready=False)
    daemon.wait_log("is up")


# What may pass

def test_a_server_that_is_not_there_is_waited_for(ferryd, pg, db, tmp_base):
    path, port = f"{tmp_base}/notify", free_port()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)
        manager.settimeout(20)
        daemon = configured(ferryd, there(pg, db, port=port))
        daemon.environment["NOTIFY_SOCKET"] = path
        daemon.start(ready=False)
        heard = ""
        while "READY=1" not in heard or "STATUS=waits for the database" not in heard:
            heard += manager.recv(4096).decode() + "\n"
    assert "Connection refused" in heard and "start PostgreSQL there" in heard
    assert str(port) in daemon.wait_log("database away: .*Connection refused.*; start PostgreSQL there, or correct host and port")[0]
    wait_until(lambda: title(daemon.pid).endswith("database away"), 10)


def test_a_daemon_that_waits_says_so_to_its_starter(ferryd, pg, db):
    daemon = configured(ferryd, there(pg, db, port=free_port()), daemonize=True)
    code, out, err = daemon.run()
    daemon.pid = int(open(daemon.pid_file).read())
    assert code == 0 and "ferryd: it is up, and waits for the database: " in err and "start PostgreSQL there" in err


def test_too_many_connections_are_waited_for(ferryd, pg, db):
    db.sql(f"ALTER DATABASE {db.name} CONNECTION LIMIT 0")
    daemon = ferryd({}, start=False, workers=1).start(ready=False)
    daemon.wait_log("database away: .*too many connections.*; raise max_connections")
    db.sql(f"ALTER DATABASE {db.name} CONNECTION LIMIT -1")
    daemon.ready()


def test_another_program_at_the_port_is_named(ferryd, pg, db):
    with socket.create_server(("127.0.0.1", 0)) as server:
        daemon = configured(ferryd, there(pg, db, port=server.getsockname()[1], sslmode="disable"))
        daemon.start(ready=False)
        client, _ = server.accept()
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        daemon.wait_log("database away: .*another program than PostgreSQL listens there")
        client.close()


def test_a_node_that_has_run_waits_for_a_database_that_vanishes(ferryd, pg, db, spool, cos):
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1)
    db.conn.close()
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{db.name}'"
    pg.admin(f"ALTER DATABASE {db.name} ALLOW_CONNECTIONS false", end)
    daemon.wait_log("database away")
    rename(pg, db.name, f"{db.name}_away", end)
    pg.admin(f"ALTER DATABASE {db.name}_away ALLOW_CONNECTIONS true")
    daemon.wait_log("database still away: .*(does not exist|not currently accepting).*; (create the database|ALTER DATABASE)", 20)
    assert daemon.alive()
    pg.admin(f"ALTER DATABASE {db.name}_away RENAME TO {db.name}")
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))


def rename(pg, old, new, end):
    def renamed():
        with contextlib.suppress(Exception):
            pg.admin(end, f"ALTER DATABASE {old} RENAME TO {new}")
            return True
    wait_until(renamed, 10)


# Roots of file stores

def test_a_root_that_is_missing_or_no_directory_ends_the_start(ferryd, db, tmp_base):
    daemon = ferryd({"out": {"kind": "file", "root": f"{tmp_base}/absent"}}, start=False)
    for arguments in ("-d", "-t"):
        said = refused(daemon, arguments)
        assert f"store out: root {tmp_base}/absent: No such file or directory; make the directory for the account {ACCOUNT}" in said
    open(f"{tmp_base}/absent", "w").close()
    assert "is not a directory; name the directory" in refused(daemon, "-d")
    os.unlink(f"{tmp_base}/absent")
    os.mkdir(f"{tmp_base}/closed", 0o700)
    daemon.stores = {"out": {"kind": "file", "root": f"{tmp_base}/closed"}}
    daemon.write()
    assert f"the account {ACCOUNT} cannot enter root {tmp_base}/closed: Permission denied" in refused(daemon, "-d")


def test_a_root_that_fstab_will_mount_is_waited_for(ferryd, db, tmp_base):
    with open(f"{tmp_base}/fstab", "w") as f:
        f.write(f"server:/export {tmp_base}/nas nfs defaults 0 0\n")
    os.mkdir(f"{tmp_base}/nas")
    daemon = ferryd({"out": {"kind": "file", "root": f"{tmp_base}/nas/out"}}, start=False, workers=1)
    script = f"mount --bind {tmp_base}/fstab /etc/fstab && exec \"$@\""
    daemon.prefix = ["unshare", "-m", "sh", "-c", script, "sh"]
    daemon.start()
    assert daemon.log(f"store out: root {tmp_base}/nas/out: No such file or directory; /etc/fstab mounts it")


def test_a_root_that_is_read_only_is_told_and_starts(ferryd, db, tmp_base):
    os.mkdir(f"{tmp_base}/in", 0o755)
    daemon = ferryd({"in": {"kind": "file", "root": f"{tmp_base}/in"}}, workers=1)
    assert daemon.log(f"the account {ACCOUNT} can read root {tmp_base}/in and not write it")


# ferryd -t

def test_the_test_names_what_systemd_needs(ferryd, db, spool, tmp_base):
    os.mkdir(f"{tmp_base}/out", 0o777)
    daemon = ferryd({"spool": spool.store(), "out": {"kind": "file", "root": f"{tmp_base}/out"}}, start=False)
    code, out, err = daemon.run("-t")
    assert code == 0 and err == "" and f"ReadWritePaths={spool.root} {tmp_base}/out\n" in out


def test_the_test_judges_as_the_account(ferryd, db, tmp_base):
    os.mkdir(f"{tmp_base}/private", 0o700)
    with open(f"{tmp_base}/private/ca.pem", "w") as f:
        f.write("x")
    store = {"kind": "s3", "endpoint": "https://host", "ca_file": f"{tmp_base}/private/ca.pem"}
    daemon = ferryd({"sums": store}, start=False, log=f"{tmp_base}/private/ferryd.log")
    os.chmod(daemon.file, 0o600)
    code, out, err = daemon.run("-t")
    assert code == 78
    assert f"fault: store sums: the account {ACCOUNT} cannot read ca_file {tmp_base}/private/ca.pem: Permission denied; chmod 644" in err
    assert f"warning: the account {ACCOUNT} cannot read {daemon.file} (Permission denied), so that a reload by SIGHUP" in err
    assert f"warning: log {tmp_base}/private/ferryd.log: the account {ACCOUNT} cannot write it: Permission denied; chown" in err
    assert "log " not in daemon.run("-t", "-d")[2]
    daemon.conf.update(log=f"{tmp_base}/absent/ferryd.log", pidfile=f"{tmp_base}/absent/ferryd.pid")
    daemon.write()
    code, out, err = daemon.run("-t")
    assert f"cannot make it in {tmp_base}/absent: No such file or directory; make the directory and chown it to {ACCOUNT}" in err
    assert f"note: pidfile {tmp_base}/absent/ferryd.pid: {tmp_base}/absent: No such file or directory" in out


def test_an_account_that_is_missing_is_named_with_its_mend(ferryd, db):
    daemon = ferryd({}, start=False, user="no-such-account")
    for arguments in ("-t", "-d"):
        code, out, err = daemon.run(arguments)
        assert code == 67 and "user no-such-account does not exist; make it with useradd --system no-such-account" in err


def test_files_that_are_missing_or_closed_are_named_with_their_mend(ferryd, db, tmp_base):
    daemon = ferryd({}, start=False, pidfile=f"{tmp_base}/absent/ferryd.pid")
    code, out, err = daemon.run("-d")
    assert code == 73 and "absent/ferryd.pid: No such file or directory; its directory must exist, and be writable" in err
    daemon = ferryd({}, start=False)
    os.chmod(daemon.file, 0o600)
    daemon.prefix = ["setpriv", "--reuid", ACCOUNT, "--clear-groups"]
    assert "Permission denied; let this account read it: chgrp and chmod 640" in refused(daemon, "-t")
    os.unlink(daemon.file)
    assert "No such file or directory; make it, or name another with -f" in refused(daemon, "-t")
    daemon.write()


# What a store's refusal says

@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.mark.parametrize("over, bucket, words", [
    ({"secret": "not-the-secret"}, Sums.BUCKET, ["SignatureDoesNotMatch", "the secret is wrong"]),
    ({"access_key": "AKNOBODY"}, Sums.BUCKET, ["InvalidAccessKeyId", "correct access_key (store sums)"]),
    ({}, "no-such-bucket", ["NoSuchBucket", "make the bucket, or correct its name in the URI"]),
], ids=["secret", "key", "bucket"])
def test_refusals_of_a_store_name_their_mend(ferryd, db, sums, spool, over, bucket, words):
    daemon = ferryd({"spool": spool.store(), "sums": sums.store(verify="auto", **over)}, workers=1)
    db.put(spool.put("object", 1000), f"sums://{bucket}/copy")
    daemon.wait_log(".*".join(map(re.escape, words)), 20)


def test_tls_to_a_port_without_it_is_named(ferryd, db, sums, spool):
    store = sums.store(verify="auto", endpoint=f"https://127.0.0.1:{sums.port}")
    daemon = ferryd({"spool": spool.store(), "sums": store}, workers=1)
    db.put(spool.put("object", 1000), f"sums://{Sums.BUCKET}/copy", max_attempts=1)
    daemon.wait_log("the server speaks no TLS at this port: endpoint begins with http://", 20)


def test_no_tls_to_a_port_with_it_is_named(ferryd, db, spool):
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = {"kind": "s3", "endpoint": f"http://127.0.0.1:{server.getsockname()[1]}", "access_key": "a", "secret": "b"}
        daemon = ferryd({"spool": spool.store(), "sums": store}, workers=1)
        db.put(spool.put("object", 1000), f"sums://{Sums.BUCKET}/copy", max_attempts=1)
        text = b"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"

        def answered():
            with contextlib.suppress(socket.timeout), server.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            return daemon.log("the server expects TLS there: endpoint of store sums begins with https://")
        server.settimeout(1)
        wait_until(answered, 20)
