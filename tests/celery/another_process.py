"""A pytest plugin: Celery's integration tests use a worker in another process, with the name in CONFORMANCE_NODE."""

import os
from contextlib import contextmanager

import pytest
from celery.contrib.testing import worker
from celery.utils import nodenames

# These tests inspect the memory of a worker in their own process, so no worker in another process passes them.
IN_PROCESS = (
    "test_send_task_without_ignore_result_",
    "test_retry_preserves_ignore_result_",
    "test_trace_log_arguments",
    "test_replaced_task_nesting_level_",
    "test_replaced_task_nesting_chain",
    "test_signal_bound_method_receivers",
)


@contextmanager
def served_by_another_process(*_, **__):
    yield None


worker.start_worker = served_by_another_process
nodenames.anon_nodename = lambda *_, **__: os.environ["CONFORMANCE_NODE"]


def pytest_collection_modifyitems(items):
    for item in items:
        if any(name in item.nodeid for name in IN_PROCESS):
            item.add_marker(pytest.mark.skip(reason="looks into the worker's own process"))
