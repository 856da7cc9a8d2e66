extension RegistryTests {
    /// What `fill` gives in Prometheus text 0.0.4; accepted by `promtool check metrics` and by the parsers of the
    /// Python client.
    static let prometheusText = """
        # HELP gateway_requests_total Requests finished, by status code (0: none was sent).
        # TYPE gateway_requests_total counter
        gateway_requests_total{tenant="_none",code="421"} 1
        gateway_requests_total{tenant="acme",code="200"} 2
        gateway_requests_total{tenant="acme",code="404"} 1
        # HELP gateway_grpc_requests_total Calls of gRPC finished, by `grpc-status`.
        # TYPE gateway_grpc_requests_total counter
        # HELP gateway_request_duration_seconds Time from the first byte of a request to the last byte of its answer.
        # TYPE gateway_request_duration_seconds histogram
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.0005"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.001"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.0025"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.005"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.01"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.025"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.05"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.1"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.25"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.5"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="1"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="2.5"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="5"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="10"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="+Inf"} 1
        gateway_request_duration_seconds_sum{tenant="_none"} 0.000000001
        gateway_request_duration_seconds_count{tenant="_none"} 1
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.0005"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.001"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.0025"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.005"} 1
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.01"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.025"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.05"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.1"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.25"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.5"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="1"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="2.5"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="5"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="10"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="+Inf"} 3
        gateway_request_duration_seconds_sum{tenant="acme"} 11.010000001
        gateway_request_duration_seconds_count{tenant="acme"} 3
        # HELP gateway_request_bytes_total Bytes of request bodies received, those of refused requests too; usage leaves these out.
        # TYPE gateway_request_bytes_total counter
        gateway_request_bytes_total{tenant="_none"} 0
        gateway_request_bytes_total{tenant="acme"} 10
        # HELP gateway_response_bytes_total Bytes of response bodies sent, refusals too; usage leaves these out.
        # TYPE gateway_response_bytes_total counter
        gateway_response_bytes_total{tenant="_none"} 0
        gateway_response_bytes_total{tenant="acme"} 25
        # HELP gateway_refused_total Requests that the gateway answered by itself, by reason; `refused` of usage counts the same.
        # TYPE gateway_refused_total counter
        gateway_refused_total{tenant="_none",reason="misdirected"} 1
        gateway_refused_total{tenant="acme",reason="bad-upstream"} 1
        # HELP gateway_shed_total Requests refused and connections ended in an overload, by what was short.
        # TYPE gateway_shed_total counter
        # HELP gateway_authorizations_total Requests that `authorize` was asked about; unavailable and passed: without an answer.
        # TYPE gateway_authorizations_total counter
        # HELP gateway_authorization_calls_total Questions to services of `authorize`; spared: its breaker was open.
        # TYPE gateway_authorization_calls_total counter
        # HELP gateway_authorization_breaker_opened_total Times that a service of `authorize` was left alone.
        # TYPE gateway_authorization_breaker_opened_total counter
        # HELP gateway_authorization_breakers_open Services of `authorize` that workers leave alone at present.
        # TYPE gateway_authorization_breakers_open gauge
        # HELP gateway_overload_stage What is given up under load: 0 nothing, 3 new connections wait in the kernel.
        # TYPE gateway_overload_stage gauge
        gateway_overload_stage 0
        # HELP gateway_quota_limit What a limit allows: a bucket's burst, a quota, requests at once.
        # TYPE gateway_quota_limit gauge
        gateway_quota_limit{tenant="acme",policy="quota-hour"} 100
        # HELP gateway_quota_used What of it is used at present.
        # TYPE gateway_quota_used gauge
        gateway_quota_used{tenant="acme",policy="quota-hour"} 7
        # HELP gateway_upstream_duration_seconds Time from the first byte sent to an upstream to the last byte of its answer.
        # TYPE gateway_upstream_duration_seconds histogram
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.0005"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.001"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.0025"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.005"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.01"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.025"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.05"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.1"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.25"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.5"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="1"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="2.5"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="5"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="10"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="+Inf"} 1
        gateway_upstream_duration_seconds_sum{upstream="api"} 0.03
        gateway_upstream_duration_seconds_count{upstream="api"} 1
        # HELP gateway_upstream_queue Requests that wait for a connection.
        # TYPE gateway_upstream_queue gauge
        gateway_upstream_queue{upstream="api"} 1
        # HELP gateway_upstream_queue_seconds Time that requests have waited for a connection, those that got none among them.
        # TYPE gateway_upstream_queue_seconds histogram
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.0005"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.001"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.0025"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.005"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.01"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.025"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.05"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.1"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.25"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.5"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="1"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="2.5"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="5"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="10"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="+Inf"} 1
        gateway_upstream_queue_seconds_sum{upstream="api"} 0.004
        gateway_upstream_queue_seconds_count{upstream="api"} 1
        # HELP gateway_upstream_retries_total Requests sent again, by what has come of that; budget: not sent for want of it.
        # TYPE gateway_upstream_retries_total counter
        gateway_upstream_retries_total{upstream="api",result="ok"} 2
        gateway_upstream_retries_total{upstream="api",result="failed"} 0
        gateway_upstream_retries_total{upstream="api",result="budget"} 1
        # HELP gateway_mirrored_total Copies of requests for an upstream, by what has come of them; dropped: too many at once.
        # TYPE gateway_mirrored_total counter
        # HELP gateway_upstream_requests_total Attempts at a server, by status code (0: no answer).
        # TYPE gateway_upstream_requests_total counter
        gateway_upstream_requests_total{upstream="api",server="127.0.0.1:9101",code="200"} 1
        gateway_upstream_requests_total{upstream="api",server="127.0.0.1:9101",code="502"} 1
        # HELP gateway_upstream_tls_handshakes_total TLS handshakes with servers that have ended.
        # TYPE gateway_upstream_tls_handshakes_total counter
        # HELP gateway_upstream_connections Connections to a server; active while they carry a request, or are being made.
        # TYPE gateway_upstream_connections gauge
        gateway_upstream_connections{upstream="api",server="127.0.0.1:9101",state="active"} 2
        gateway_upstream_connections{upstream="api",server="127.0.0.1:9101",state="idle"} 1
        # HELP gateway_upstream_healthy Whether a server is given requests.
        # TYPE gateway_upstream_healthy gauge
        gateway_upstream_healthy{upstream="api",server="127.0.0.1:9101"} 1
        gateway_upstream_healthy{upstream="api",server="127.0.0.1:9102"} 0
        # HELP gateway_upstream_state What a server is at present: 1 for one of its states.
        # TYPE gateway_upstream_state gauge
        # HELP gateway_upstream_ejections_total Times that a server was left out for a while, by reason.
        # TYPE gateway_upstream_ejections_total counter
        # HELP gateway_overhead_seconds Time that a request spent in the gateway itself.
        # TYPE gateway_overhead_seconds histogram
        gateway_overhead_seconds_bucket{le="1e-06"} 0
        gateway_overhead_seconds_bucket{le="2.5e-06"} 0
        gateway_overhead_seconds_bucket{le="5e-06"} 0
        gateway_overhead_seconds_bucket{le="1e-05"} 0
        gateway_overhead_seconds_bucket{le="2.5e-05"} 1
        gateway_overhead_seconds_bucket{le="5e-05"} 1
        gateway_overhead_seconds_bucket{le="0.0001"} 1
        gateway_overhead_seconds_bucket{le="0.00025"} 1
        gateway_overhead_seconds_bucket{le="0.0005"} 1
        gateway_overhead_seconds_bucket{le="0.001"} 1
        gateway_overhead_seconds_bucket{le="0.005"} 1
        gateway_overhead_seconds_bucket{le="0.01"} 1
        gateway_overhead_seconds_bucket{le="0.05"} 1
        gateway_overhead_seconds_bucket{le="0.1"} 1
        gateway_overhead_seconds_bucket{le="+Inf"} 2
        gateway_overhead_seconds_sum 0.100012001
        gateway_overhead_seconds_count 2
        # HELP gateway_connections Client connections; active while a request is in progress.
        # TYPE gateway_connections gauge
        gateway_connections{listener="127.0.0.1:8443",state="active"} 1
        gateway_connections{listener="127.0.0.1:8443",state="idle"} 3
        # HELP gateway_tls_handshakes_total TLS handshakes that have ended.
        # TYPE gateway_tls_handshakes_total counter
        gateway_tls_handshakes_total{version="",resumed="false",result="failure"} 1
        gateway_tls_handshakes_total{version="1.3",resumed="true",result="success"} 2
        # HELP gateway_log_dropped_total Access log lines let go for want of room.
        # TYPE gateway_log_dropped_total counter
        gateway_log_dropped_total 3
        # HELP gateway_stale_events_total Events for a connection that was already gone.
        # TYPE gateway_stale_events_total counter
        gateway_stale_events_total 0
        # HELP gateway_lingered_total Connections read on after their last answer, by what ended that.
        # TYPE gateway_lingered_total counter
        gateway_lingered_total{end="whole"} 2
        gateway_lingered_total{end="bytes"} 0
        gateway_lingered_total{end="time"} 1
        # HELP gateway_lingered_bytes_total Bytes that came after an answer and were dropped.
        # TYPE gateway_lingered_bytes_total counter
        gateway_lingered_bytes_total 70000
        # HELP gateway_h2_abuse_total HTTP/2 connections ended for what only costs others.
        # TYPE gateway_h2_abuse_total counter
        gateway_h2_abuse_total{kind="resets"} 0
        gateway_h2_abuse_total{kind="headers"} 0
        gateway_h2_abuse_total{kind="control"} 0
        gateway_h2_abuse_total{kind="priority"} 0
        gateway_h2_abuse_total{kind="empty_data"} 0
        gateway_h2_abuse_total{kind="window_updates"} 0
        # HELP gateway_proxy_headers_refused_total Connections closed that did not begin with a PROXY header that is believed.
        # TYPE gateway_proxy_headers_refused_total counter
        gateway_proxy_headers_refused_total 0
        # HELP gateway_accept_errors_total New connections that could not be accepted.
        # TYPE gateway_accept_errors_total counter
        gateway_accept_errors_total 0
        # HELP gateway_ledger_flush_seconds Time in which an interval's usage was written and synced.
        # TYPE gateway_ledger_flush_seconds histogram
        gateway_ledger_flush_seconds_bucket{le="0.0005"} 0
        gateway_ledger_flush_seconds_bucket{le="0.001"} 0
        gateway_ledger_flush_seconds_bucket{le="0.0025"} 0
        gateway_ledger_flush_seconds_bucket{le="0.005"} 0
        gateway_ledger_flush_seconds_bucket{le="0.01"} 0
        gateway_ledger_flush_seconds_bucket{le="0.025"} 0
        gateway_ledger_flush_seconds_bucket{le="0.05"} 0
        gateway_ledger_flush_seconds_bucket{le="0.1"} 0
        gateway_ledger_flush_seconds_bucket{le="0.25"} 0
        gateway_ledger_flush_seconds_bucket{le="0.5"} 0
        gateway_ledger_flush_seconds_bucket{le="1"} 0
        gateway_ledger_flush_seconds_bucket{le="2.5"} 0
        gateway_ledger_flush_seconds_bucket{le="5"} 0
        gateway_ledger_flush_seconds_bucket{le="10"} 0
        gateway_ledger_flush_seconds_bucket{le="+Inf"} 0
        gateway_ledger_flush_seconds_sum 0
        gateway_ledger_flush_seconds_count 0
        # HELP gateway_ledger_unflushed Requests admitted that the ledger failed to write so far; they are not lost.
        # TYPE gateway_ledger_unflushed gauge
        gateway_ledger_unflushed 0
        # HELP gateway_meters_mended_total Times that the file of the meters was cut short and was mended.
        # TYPE gateway_meters_mended_total counter
        gateway_meters_mended_total 0
        # HELP gateway_clock_jumps_total Times that the wall clock jumped, forward or back; periods go on by the time before.
        # TYPE gateway_clock_jumps_total counter
        gateway_clock_jumps_total 0
        # HELP gateway_ledger_damaged_lines Lines of the ledger that are damaged or missing; `gateway ledger verify` names them.
        # TYPE gateway_ledger_damaged_lines gauge
        gateway_ledger_damaged_lines 0
        # HELP gateway_config_reloads_total Reloads of the configuration, by result.
        # TYPE gateway_config_reloads_total counter
        gateway_config_reloads_total{result="success"} 0
        gateway_config_reloads_total{result="failure"} 1
        # HELP gateway_config_last_reload_successful Whether the last reload was applied.
        # TYPE gateway_config_last_reload_successful gauge
        gateway_config_last_reload_successful 0
        # HELP gateway_config_last_reload_success_timestamp_seconds When the configuration in force was loaded.
        # TYPE gateway_config_last_reload_success_timestamp_seconds gauge
        gateway_config_last_reload_success_timestamp_seconds 1700000000.5
        # HELP gateway_ready Whether the gateway takes traffic.
        # TYPE gateway_ready gauge
        gateway_ready 1
        # HELP gateway_build_info The version that runs.
        # TYPE gateway_build_info gauge
        gateway_build_info{version="1.2.3"} 1
        # HELP process_cpu_seconds_total User and system CPU time spent.
        # TYPE process_cpu_seconds_total counter
        process_cpu_seconds_total 1.23
        # HELP process_resident_memory_bytes Resident memory size.
        # TYPE process_resident_memory_bytes gauge
        process_resident_memory_bytes 4096
        # HELP process_virtual_memory_bytes Virtual memory size.
        # TYPE process_virtual_memory_bytes gauge
        process_virtual_memory_bytes 8192
        # HELP process_open_fds Open file descriptors.
        # TYPE process_open_fds gauge
        process_open_fds 12
        # HELP process_max_fds Maximum number of open file descriptors.
        # TYPE process_max_fds gauge
        process_max_fds 1024
        # HELP process_start_time_seconds Start time since 1970.
        # TYPE process_start_time_seconds gauge
        process_start_time_seconds 1699999999.25
        # HELP process_threads Threads of this process.
        # TYPE process_threads gauge
        process_threads 4

        """

    /// The same in OpenMetrics text 1.0.0.
    static let openMetricsText = """
        # HELP gateway_requests Requests finished, by status code (0: none was sent).
        # TYPE gateway_requests counter
        gateway_requests_total{tenant="_none",code="421"} 1
        gateway_requests_total{tenant="acme",code="200"} 2
        gateway_requests_total{tenant="acme",code="404"} 1
        # HELP gateway_grpc_requests Calls of gRPC finished, by `grpc-status`.
        # TYPE gateway_grpc_requests counter
        # HELP gateway_request_duration_seconds Time from the first byte of a request to the last byte of its answer.
        # TYPE gateway_request_duration_seconds histogram
        # UNIT gateway_request_duration_seconds seconds
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.0005"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.001"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.0025"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.005"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.01"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.025"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.05"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.1"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.25"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="0.5"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="1.0"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="2.5"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="5.0"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="10.0"} 1
        gateway_request_duration_seconds_bucket{tenant="_none",le="+Inf"} 1
        gateway_request_duration_seconds_sum{tenant="_none"} 0.000000001
        gateway_request_duration_seconds_count{tenant="_none"} 1
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.0005"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.001"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.0025"} 0
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.005"} 1
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.01"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.025"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.05"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.1"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.25"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="0.5"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="1.0"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="2.5"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="5.0"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="10.0"} 2
        gateway_request_duration_seconds_bucket{tenant="acme",le="+Inf"} 3
        gateway_request_duration_seconds_sum{tenant="acme"} 11.010000001
        gateway_request_duration_seconds_count{tenant="acme"} 3
        # HELP gateway_request_bytes Bytes of request bodies received, those of refused requests too; usage leaves these out.
        # TYPE gateway_request_bytes counter
        # UNIT gateway_request_bytes bytes
        gateway_request_bytes_total{tenant="_none"} 0
        gateway_request_bytes_total{tenant="acme"} 10
        # HELP gateway_response_bytes Bytes of response bodies sent, refusals too; usage leaves these out.
        # TYPE gateway_response_bytes counter
        # UNIT gateway_response_bytes bytes
        gateway_response_bytes_total{tenant="_none"} 0
        gateway_response_bytes_total{tenant="acme"} 25
        # HELP gateway_refused Requests that the gateway answered by itself, by reason; `refused` of usage counts the same.
        # TYPE gateway_refused counter
        gateway_refused_total{tenant="_none",reason="misdirected"} 1
        gateway_refused_total{tenant="acme",reason="bad-upstream"} 1
        # HELP gateway_shed Requests refused and connections ended in an overload, by what was short.
        # TYPE gateway_shed counter
        # HELP gateway_authorizations Requests that `authorize` was asked about; unavailable and passed: without an answer.
        # TYPE gateway_authorizations counter
        # HELP gateway_authorization_calls Questions to services of `authorize`; spared: its breaker was open.
        # TYPE gateway_authorization_calls counter
        # HELP gateway_authorization_breaker_opened Times that a service of `authorize` was left alone.
        # TYPE gateway_authorization_breaker_opened counter
        # HELP gateway_authorization_breakers_open Services of `authorize` that workers leave alone at present.
        # TYPE gateway_authorization_breakers_open gauge
        # HELP gateway_overload_stage What is given up under load: 0 nothing, 3 new connections wait in the kernel.
        # TYPE gateway_overload_stage gauge
        gateway_overload_stage 0
        # HELP gateway_quota_limit What a limit allows: a bucket's burst, a quota, requests at once.
        # TYPE gateway_quota_limit gauge
        gateway_quota_limit{tenant="acme",policy="quota-hour"} 100
        # HELP gateway_quota_used What of it is used at present.
        # TYPE gateway_quota_used gauge
        gateway_quota_used{tenant="acme",policy="quota-hour"} 7
        # HELP gateway_upstream_duration_seconds Time from the first byte sent to an upstream to the last byte of its answer.
        # TYPE gateway_upstream_duration_seconds histogram
        # UNIT gateway_upstream_duration_seconds seconds
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.0005"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.001"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.0025"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.005"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.01"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.025"} 0
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.05"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.1"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.25"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="0.5"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="1.0"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="2.5"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="5.0"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="10.0"} 1
        gateway_upstream_duration_seconds_bucket{upstream="api",le="+Inf"} 1
        gateway_upstream_duration_seconds_sum{upstream="api"} 0.03
        gateway_upstream_duration_seconds_count{upstream="api"} 1
        # HELP gateway_upstream_queue Requests that wait for a connection.
        # TYPE gateway_upstream_queue gauge
        gateway_upstream_queue{upstream="api"} 1
        # HELP gateway_upstream_queue_seconds Time that requests have waited for a connection, those that got none among them.
        # TYPE gateway_upstream_queue_seconds histogram
        # UNIT gateway_upstream_queue_seconds seconds
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.0005"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.001"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.0025"} 0
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.005"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.01"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.025"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.05"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.1"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.25"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="0.5"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="1.0"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="2.5"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="5.0"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="10.0"} 1
        gateway_upstream_queue_seconds_bucket{upstream="api",le="+Inf"} 1
        gateway_upstream_queue_seconds_sum{upstream="api"} 0.004
        gateway_upstream_queue_seconds_count{upstream="api"} 1
        # HELP gateway_upstream_retries Requests sent again, by what has come of that; budget: not sent for want of it.
        # TYPE gateway_upstream_retries counter
        gateway_upstream_retries_total{upstream="api",result="ok"} 2
        gateway_upstream_retries_total{upstream="api",result="failed"} 0
        gateway_upstream_retries_total{upstream="api",result="budget"} 1
        # HELP gateway_mirrored Copies of requests for an upstream, by what has come of them; dropped: too many at once.
        # TYPE gateway_mirrored counter
        # HELP gateway_upstream_requests Attempts at a server, by status code (0: no answer).
        # TYPE gateway_upstream_requests counter
        gateway_upstream_requests_total{upstream="api",server="127.0.0.1:9101",code="200"} 1
        gateway_upstream_requests_total{upstream="api",server="127.0.0.1:9101",code="502"} 1
        # HELP gateway_upstream_tls_handshakes TLS handshakes with servers that have ended.
        # TYPE gateway_upstream_tls_handshakes counter
        # HELP gateway_upstream_connections Connections to a server; active while they carry a request, or are being made.
        # TYPE gateway_upstream_connections gauge
        gateway_upstream_connections{upstream="api",server="127.0.0.1:9101",state="active"} 2
        gateway_upstream_connections{upstream="api",server="127.0.0.1:9101",state="idle"} 1
        # HELP gateway_upstream_healthy Whether a server is given requests.
        # TYPE gateway_upstream_healthy gauge
        gateway_upstream_healthy{upstream="api",server="127.0.0.1:9101"} 1
        gateway_upstream_healthy{upstream="api",server="127.0.0.1:9102"} 0
        # HELP gateway_upstream_state What a server is at present: 1 for one of its states.
        # TYPE gateway_upstream_state gauge
        # HELP gateway_upstream_ejections Times that a server was left out for a while, by reason.
        # TYPE gateway_upstream_ejections counter
        # HELP gateway_overhead_seconds Time that a request spent in the gateway itself.
        # TYPE gateway_overhead_seconds histogram
        # UNIT gateway_overhead_seconds seconds
        gateway_overhead_seconds_bucket{le="1e-06"} 0
        gateway_overhead_seconds_bucket{le="2.5e-06"} 0
        gateway_overhead_seconds_bucket{le="5e-06"} 0
        gateway_overhead_seconds_bucket{le="1e-05"} 0
        gateway_overhead_seconds_bucket{le="2.5e-05"} 1
        gateway_overhead_seconds_bucket{le="5e-05"} 1
        gateway_overhead_seconds_bucket{le="0.0001"} 1
        gateway_overhead_seconds_bucket{le="0.00025"} 1
        gateway_overhead_seconds_bucket{le="0.0005"} 1
        gateway_overhead_seconds_bucket{le="0.001"} 1
        gateway_overhead_seconds_bucket{le="0.005"} 1
        gateway_overhead_seconds_bucket{le="0.01"} 1
        gateway_overhead_seconds_bucket{le="0.05"} 1
        gateway_overhead_seconds_bucket{le="0.1"} 1
        gateway_overhead_seconds_bucket{le="+Inf"} 2
        gateway_overhead_seconds_sum 0.100012001
        gateway_overhead_seconds_count 2
        # HELP gateway_connections Client connections; active while a request is in progress.
        # TYPE gateway_connections gauge
        gateway_connections{listener="127.0.0.1:8443",state="active"} 1
        gateway_connections{listener="127.0.0.1:8443",state="idle"} 3
        # HELP gateway_tls_handshakes TLS handshakes that have ended.
        # TYPE gateway_tls_handshakes counter
        gateway_tls_handshakes_total{version="",resumed="false",result="failure"} 1
        gateway_tls_handshakes_total{version="1.3",resumed="true",result="success"} 2
        # HELP gateway_log_dropped Access log lines let go for want of room.
        # TYPE gateway_log_dropped counter
        gateway_log_dropped_total 3
        # HELP gateway_stale_events Events for a connection that was already gone.
        # TYPE gateway_stale_events counter
        gateway_stale_events_total 0
        # HELP gateway_lingered Connections read on after their last answer, by what ended that.
        # TYPE gateway_lingered counter
        gateway_lingered_total{end="whole"} 2
        gateway_lingered_total{end="bytes"} 0
        gateway_lingered_total{end="time"} 1
        # HELP gateway_lingered_bytes Bytes that came after an answer and were dropped.
        # TYPE gateway_lingered_bytes counter
        # UNIT gateway_lingered_bytes bytes
        gateway_lingered_bytes_total 70000
        # HELP gateway_h2_abuse HTTP/2 connections ended for what only costs others.
        # TYPE gateway_h2_abuse counter
        gateway_h2_abuse_total{kind="resets"} 0
        gateway_h2_abuse_total{kind="headers"} 0
        gateway_h2_abuse_total{kind="control"} 0
        gateway_h2_abuse_total{kind="priority"} 0
        gateway_h2_abuse_total{kind="empty_data"} 0
        gateway_h2_abuse_total{kind="window_updates"} 0
        # HELP gateway_proxy_headers_refused Connections closed that did not begin with a PROXY header that is believed.
        # TYPE gateway_proxy_headers_refused counter
        gateway_proxy_headers_refused_total 0
        # HELP gateway_accept_errors New connections that could not be accepted.
        # TYPE gateway_accept_errors counter
        gateway_accept_errors_total 0
        # HELP gateway_ledger_flush_seconds Time in which an interval's usage was written and synced.
        # TYPE gateway_ledger_flush_seconds histogram
        # UNIT gateway_ledger_flush_seconds seconds
        gateway_ledger_flush_seconds_bucket{le="0.0005"} 0
        gateway_ledger_flush_seconds_bucket{le="0.001"} 0
        gateway_ledger_flush_seconds_bucket{le="0.0025"} 0
        gateway_ledger_flush_seconds_bucket{le="0.005"} 0
        gateway_ledger_flush_seconds_bucket{le="0.01"} 0
        gateway_ledger_flush_seconds_bucket{le="0.025"} 0
        gateway_ledger_flush_seconds_bucket{le="0.05"} 0
        gateway_ledger_flush_seconds_bucket{le="0.1"} 0
        gateway_ledger_flush_seconds_bucket{le="0.25"} 0
        gateway_ledger_flush_seconds_bucket{le="0.5"} 0
        gateway_ledger_flush_seconds_bucket{le="1.0"} 0
        gateway_ledger_flush_seconds_bucket{le="2.5"} 0
        gateway_ledger_flush_seconds_bucket{le="5.0"} 0
        gateway_ledger_flush_seconds_bucket{le="10.0"} 0
        gateway_ledger_flush_seconds_bucket{le="+Inf"} 0
        gateway_ledger_flush_seconds_sum 0
        gateway_ledger_flush_seconds_count 0
        # HELP gateway_ledger_unflushed Requests admitted that the ledger failed to write so far; they are not lost.
        # TYPE gateway_ledger_unflushed gauge
        gateway_ledger_unflushed 0
        # HELP gateway_meters_mended Times that the file of the meters was cut short and was mended.
        # TYPE gateway_meters_mended counter
        gateway_meters_mended_total 0
        # HELP gateway_clock_jumps Times that the wall clock jumped, forward or back; periods go on by the time before.
        # TYPE gateway_clock_jumps counter
        gateway_clock_jumps_total 0
        # HELP gateway_ledger_damaged_lines Lines of the ledger that are damaged or missing; `gateway ledger verify` names them.
        # TYPE gateway_ledger_damaged_lines gauge
        gateway_ledger_damaged_lines 0
        # HELP gateway_config_reloads Reloads of the configuration, by result.
        # TYPE gateway_config_reloads counter
        gateway_config_reloads_total{result="success"} 0
        gateway_config_reloads_total{result="failure"} 1
        # HELP gateway_config_last_reload_successful Whether the last reload was applied.
        # TYPE gateway_config_last_reload_successful gauge
        gateway_config_last_reload_successful 0
        # HELP gateway_config_last_reload_success_timestamp_seconds When the configuration in force was loaded.
        # TYPE gateway_config_last_reload_success_timestamp_seconds gauge
        # UNIT gateway_config_last_reload_success_timestamp_seconds seconds
        gateway_config_last_reload_success_timestamp_seconds 1700000000.5
        # HELP gateway_ready Whether the gateway takes traffic.
        # TYPE gateway_ready gauge
        gateway_ready 1
        # HELP gateway_build The version that runs.
        # TYPE gateway_build info
        gateway_build_info{version="1.2.3"} 1
        # HELP process_cpu_seconds User and system CPU time spent.
        # TYPE process_cpu_seconds counter
        # UNIT process_cpu_seconds seconds
        process_cpu_seconds_total 1.23
        # HELP process_resident_memory_bytes Resident memory size.
        # TYPE process_resident_memory_bytes gauge
        # UNIT process_resident_memory_bytes bytes
        process_resident_memory_bytes 4096
        # HELP process_virtual_memory_bytes Virtual memory size.
        # TYPE process_virtual_memory_bytes gauge
        # UNIT process_virtual_memory_bytes bytes
        process_virtual_memory_bytes 8192
        # HELP process_open_fds Open file descriptors.
        # TYPE process_open_fds gauge
        process_open_fds 12
        # HELP process_max_fds Maximum number of open file descriptors.
        # TYPE process_max_fds gauge
        process_max_fds 1024
        # HELP process_start_time_seconds Start time since 1970.
        # TYPE process_start_time_seconds gauge
        # UNIT process_start_time_seconds seconds
        process_start_time_seconds 1699999999.25
        # HELP process_threads Threads of this process.
        # TYPE process_threads gauge
        process_threads 4
        # EOF

        """
}
