"""The Celery application that queue.py measures: acks_late, prefork.  QUEUE_BROKER, QUEUE_SOURCE and QUEUE_SINK are its addresses."""

import http.client
import os

import celery

app = celery.Celery("bench_celery", broker=os.environ["QUEUE_BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=16, broker_connection_retry_on_startup=True)
connections = {}


def ask(address, method, path, body=None):
    if address not in connections:
        connections[address] = http.client.HTTPConnection(address)
    connections[address].request(method, path, body)
    answer = connections[address].getresponse()
    return answer.read()


@app.task
def nothing(n):
    pass


@app.task
def carry(n):
    body = ask(os.environ["QUEUE_SOURCE"], "GET", f"/bench/size-1-{n}")
    ask(os.environ["QUEUE_SINK"], "PUT", f"/bench/celery-{n}", body)
