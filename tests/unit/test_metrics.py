"""Metrics: what happened is what the page says."""

import pytest

from hexi.adapters.metrics import CONTENT_TYPE, Metrics


@pytest.fixture
def metrics():
    return Metrics("1.2.3")


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_signals_are_counted_by_fate(metrics):
    metrics.signal("accepted", 3)
    metrics.signal("repeat")
    assert value(metrics, "hexi_signals_total", fate="accepted") == 3
    assert value(metrics, "hexi_signals_total", fate="repeat") == 1


def test_commits_deadlines_and_requests_are_timed(metrics):
    metrics.committed(0.004, 12)
    metrics.deadline_met(-1)
    metrics.deadline_met(0.2)
    metrics.request("POST", 202, 0.01)
    assert value(metrics, "hexi_commit_seconds_bucket", le="0.005") == 1
    assert value(metrics, "hexi_commit_seconds_bucket", le="0.002") == 0
    assert value(metrics, "hexi_commit_batch_sum") == 12
    assert value(metrics, "hexi_deadline_lateness_seconds_sum") == pytest.approx(0.2)
    assert value(metrics, "hexi_deadline_lateness_seconds_count") == 2
    assert value(metrics, "hexi_requests_total", method="POST", status="202") == 1


def test_notices_are_counted_by_way_and_result(metrics):
    metrics.notice("sms", "handed", 0.3)
    metrics.notice("sms", "retry")
    assert value(metrics, "hexi_notices_total", way="sms", result="handed") == 1
    assert value(metrics, "hexi_notices_total", way="sms", result="retry") == 1
    assert value(metrics, "hexi_notice_handover_seconds_count") == 1


def test_the_backlog_is_asked_for_when_it_is_read(metrics):
    backlog = [5.0]
    metrics.watch(outbox=lambda: backlog[0], screens=lambda: 2)
    assert value(metrics, "hexi_outbox_waiting") == 5
    backlog[0] = 7.0
    assert value(metrics, "hexi_outbox_waiting") == 7
    assert value(metrics, "hexi_screens_listening") == 2


def test_the_page_is_prometheus_text_with_a_meaning_for_each_metric(metrics):
    metrics.case_opened("extreme")
    metrics.quarantined("http/gw")
    text = metrics.exposition().decode()
    assert CONTENT_TYPE.startswith("text/plain")
    assert 'hexi_build_info{version="1.2.3"} 1.0' in text
    assert 'hexi_cases_opened_total{severity="extreme"} 1.0' in text
    assert 'hexi_quarantined_total{link="http/gw"} 1.0' in text
    assert "process_cpu_seconds_total" in text
    assert all(metrics.described().values())
