extension MetricsRegistry {
    /// Everything, as text for a scraper. To be called by one thread that may take its time; the workers go on
    /// meanwhile, so figures of one rendering may be a request apart from each other, but none is ever less than it
    /// was.
    public func render(_ format: TextFormat) -> [UInt8] {
        let statistics = process()
        let state = self.state.withLock { $0 }
        return reader.withLock { reader in
            reader.tenantBudget = state.tenantBudget
            reader.collect(from: self)
            var text = TextWriter(format)
            writeTenants(reader, &text)
            writeQuotas(reader, state, &text)
            writeUpstreams(reader, state, &text)
            writeWorkers(reader, state, &text)
            writeLedger(&text)
            writeState(state, &text)
            writeKeySets(state.keySets, &text)
            statistics.write(to: &text)
            return text.finish()
        }
    }

    private func writeTenants(_ reader: borrowing MetricsReader, _ text: inout TextWriter) {
        var tenants = [TenantTotals(Labels("tenant", "_none"), all.map(\.own.unattributed))]
        tenants.append(contentsOf: reader.named.map { TenantTotals($0.labels, $0.members) })
        if !reader.others.isEmpty { tenants.append(TenantTotals(Labels("tenant", "_other"), reader.others)) }

        text.family("gateway_requests", .counter, "Requests finished, by status code (0: none was sent).")
        for tenant in tenants {
            for (code, count) in tenant.codes.counts {
                text.sample(tenant.labels)
                text.label("code", code)
                text.value(count)
            }
        }
        text.family("gateway_grpc_requests", .counter, "Calls of gRPC finished, by `grpc-status`.")
        for tenant in tenants {
            for (code, count) in tenant.calls.counts {
                text.sample(tenant.labels)
                text.label("grpc_code", code)
                text.value(count)
            }
        }
        text.family(
            "gateway_request_duration_seconds", .histogram, unit: "seconds",
            "Time from the first byte of a request to the last byte of its answer.")
        for tenant in tenants { text.histogram(tenant.labels, tenant.duration, RequestScale.self) }
        text.family(
            "gateway_request_bytes", .counter, unit: "bytes",
            "Bytes of request bodies received, those of refused requests too; usage leaves these out.")
        for tenant in tenants {
            text.sample(tenant.labels)
            text.value(tenant.requestBytes)
        }
        text.family(
            "gateway_response_bytes", .counter, unit: "bytes", "Bytes of response bodies sent, refusals too; usage leaves these out.")
        for tenant in tenants {
            text.sample(tenant.labels)
            text.value(tenant.responseBytes)
        }
        text.family(
            "gateway_refused", .counter, "Requests that the gateway answered by itself, by reason; `refused` of usage counts the same.")
        for tenant in tenants { writeReasons(tenant, tenant.refusals, &text) { Refusal(rawValue: $0)?.name } }
        text.family("gateway_shed", .counter, "Requests refused and connections ended in an overload, by what was short.")
        for tenant in tenants { writeReasons(tenant, tenant.sheds, &text) { Shed(rawValue: $0)?.name } }
        writeDecisions(tenants, &text)
        text.family("gateway_overload_stage", .gauge, "What is given up under load: 0 nothing, 3 new connections wait in the kernel.")
        text.sample()
        text.value(overload.value)
    }

    private func writeReasons(
        _ tenant: TenantTotals, _ totals: KeyedTotals, _ text: inout TextWriter, name: (UInt8) -> StaticString?
    ) {
        for (key, count) in totals.counts {
            guard let name = name(UInt8(truncatingIfNeeded: key)) else { continue }
            text.sample(tenant.labels)
            text.label("reason", name)
            text.value(count)
        }
    }

    private func writeQuotas(_ reader: borrowing MetricsReader, _ state: ProcessState, _ text: inout TextWriter) {
        var readings: [(labels: Labels, reading: QuotaReading)] = []
        for tenant in reader.named {
            guard let id = tenant.members.first?.tenant else { continue }
            for reading in state.quotas(id) {
                var labels = tenant.labels
                labels.add("policy", reading.policy)
                readings.append((labels, reading))
            }
        }
        text.family("gateway_quota_limit", .gauge, "What a limit allows: a bucket's burst, a quota, requests at once.")
        for (labels, reading) in readings {
            text.sample(labels)
            text.value(reading.limit)
        }
        text.family("gateway_quota_used", .gauge, "What of it is used at present.")
        for (labels, reading) in readings {
            text.sample(labels)
            text.value(reading.used)
        }
    }

    private func writeUpstreams(_ reader: borrowing MetricsReader, _ state: ProcessState, _ text: inout TextWriter) {
        text.family(
            "gateway_upstream_duration_seconds", .histogram, unit: "seconds",
            "Time from the first byte sent to an upstream to the last byte of its answer.")
        for upstream in reader.upstreams {
            var totals = HistogramTotals()
            for member in upstream.members { totals.add(member.duration) }
            text.histogram(upstream.labels, totals, RequestScale.self)
        }
        text.family("gateway_upstream_queue", .gauge, "Requests that wait for a connection.")
        for upstream in reader.upstreams {
            text.sample(upstream.labels)
            text.value(UInt64(clamping: upstream.members.reduce(0) { $0 + $1.waiting.value }))
        }
        text.family(
            "gateway_upstream_queue_seconds", .histogram, unit: "seconds",
            "Time that requests have waited for a connection, those that got none among them.")
        for upstream in reader.upstreams {
            var totals = HistogramTotals()
            for member in upstream.members { totals.add(member.waits) }
            text.histogram(upstream.labels, totals, RequestScale.self)
        }
        text.family("gateway_upstream_retries", .counter, "Requests sent again, by what has come of that; budget: not sent for want of it.")
        for upstream in reader.upstreams {
            for result in RetryResult.allCases {
                text.sample(upstream.labels)
                text.label("result", result.label)
                text.value(upstream.members.reduce(0) { $0 &+ $1.retries(result) })
            }
        }
        text.family(
            "gateway_mirrored", .counter, "Copies of requests for an upstream, by what has come of them; dropped: too many at once.")
        for upstream in reader.upstreams {
            for result in MirrorResult.allCases {
                let count = upstream.members.reduce(0) { $0 &+ $1.mirrors(result) }
                if count == 0 { continue }
                text.sample(upstream.labels)
                text.label("result", result.label)
                text.value(count)
            }
        }
        text.family("gateway_upstream_requests", .counter, "Attempts at a server, by status code (0: no answer).")
        for server in reader.servers {
            var codes = KeyedTotals()
            for member in server.members { codes.add(member.codes) }
            codes.sort()
            for (code, count) in codes.counts {
                text.sample(server.labels)
                text.label("code", code)
                text.value(count)
            }
        }
        text.family("gateway_upstream_tls_handshakes", .counter, "TLS handshakes with servers that have ended.")
        for upstream in reader.upstreams {
            writeHandshakes(upstream.labels, &text) { version, resumed, result in
                upstream.members.reduce(0) { $0 &+ $1.handshakes.count(version, resumed: resumed, result) }
            }
        }
        text.family(
            "gateway_upstream_connections", .gauge, "Connections to a server; active while they carry a request, or are being made.")
        for server in reader.servers {
            text.sample(server.labels)
            text.label("state", "active")
            text.value(UInt64(server.members.reduce(0) { $0 + $1.connections.active }))
            text.sample(server.labels)
            text.label("state", "idle")
            text.value(UInt64(server.members.reduce(0) { $0 + $1.connections.idle }))
        }
        text.family("gateway_upstream_healthy", .gauge, "Whether a server is given requests.")
        let health = state.health.sorted { a, b in
            (a.key.upstream, a.key.server) < (b.key.upstream, b.key.server)
        }
        for (key, healthy) in health {
            var labels = Labels("upstream", key.upstream)
            labels.add("server", key.server)
            text.sample(labels)
            text.value(healthy ? 1 : 0)
        }
        text.family("gateway_upstream_state", .gauge, "What a server is at present: 1 for one of its states.")
        let readings = ServerReading.summed(state.servers()).map { reading in
            var labels = Labels("upstream", reading.key.upstream)
            labels.add("server", reading.key.server)
            return (labels, reading)
        }
        for (labels, reading) in readings {
            for one in ServerState.allCases {
                text.sample(labels)
                text.label("state", one.label)
                text.value(one == reading.state ? 1 : 0)
            }
        }
        text.family("gateway_upstream_ejections", .counter, "Times that a server was left out for a while, by reason.")
        for (labels, reading) in readings {
            for (reason, count): (StaticString, UInt64) in [("failures", reading.failures), ("slow", reading.slow)] {
                text.sample(labels)
                text.label("reason", reason)
                text.value(count)
            }
        }
    }

    private func writeWorkers(_ reader: borrowing MetricsReader, _ state: ProcessState, _ text: inout TextWriter) {
        text.family(
            "gateway_overhead_seconds", .histogram, unit: "seconds", "Time that a request spent in the gateway itself.")
        var overhead = HistogramTotals()
        for worker in all { overhead.add(worker.own.overheads) }
        text.histogram(Labels(), overhead, OverheadScale.self)

        text.family("gateway_connections", .gauge, "Client connections; active while a request is in progress.")
        for listener in reader.listeners {
            let active = listener.members.reduce(0) { $0 &+ $1.active.value }
            let idle = listener.members.reduce(0) { $0 &+ $1.idle.value }
            // One that was removed is there until its last connection has ended.
            let isRemoved = state.listeners.map { !$0.contains(listener.members[0].listener) } ?? false
            if isRemoved, active == 0, idle == 0 { continue }
            text.sample(listener.labels)
            text.label("state", "active")
            text.value(active)
            text.sample(listener.labels)
            text.label("state", "idle")
            text.value(idle)
        }

        text.family("gateway_tls_handshakes", .counter, "TLS handshakes that have ended.")
        writeHandshakes(Labels(), &text) { version, resumed, result in
            sum { $0.handshakes.count(version, resumed: resumed, result) }
        }

        text.family("gateway_log_dropped", .counter, "Access log lines let go for want of room.")
        text.sample()
        text.value(sum { $0.logDropped.value })
        text.family("gateway_stale_events", .counter, "Events for a connection that was already gone.")
        text.sample()
        text.value(sum { $0.staleEvents.value })
        text.family("gateway_lingered", .counter, "Connections read on after their last answer, by what ended that.")
        for end in LingerEnd.allCases {
            text.sample()
            text.label("end", end.label)
            text.value(sum { $0.lingers(end) })
        }
        text.family("gateway_lingered_bytes", .counter, unit: "bytes", "Bytes that came after an answer and were dropped.")
        text.sample()
        text.value(sum { $0.lingeredBytes.value })
        text.family("gateway_h2_abuse", .counter, "HTTP/2 connections ended for what only costs others.")
        for kind in H2AbuseKind.allCases {
            text.sample()
            text.label("kind", kind.label)
            text.value(sum { $0.abuses(kind) })
        }
        text.family(
            "gateway_proxy_headers_refused", .counter, "Connections closed that did not begin with a PROXY header that is believed.")
        text.sample()
        text.value(sum { $0.proxyHeadersRefused.value })
        text.family("gateway_accept_errors", .counter, "New connections that could not be accepted.")
        text.sample()
        text.value(sum { $0.acceptErrors.value })
    }

    private func writeHandshakes(
        _ labels: Labels, _ text: inout TextWriter, count: (HandshakeVersion, Bool, HandshakeResult) -> UInt64
    ) {
        for version in HandshakeVersion.allCases {
            for resumed in [false, true] {
                for result in HandshakeResult.allCases {
                    let count = count(version, resumed, result)
                    if count == 0 { continue }
                    text.sample(labels)
                    text.label("version", version.label)
                    text.label("resumed", resumed ? "true" : "false")
                    text.label("result", result.label)
                    text.value(count)
                }
            }
        }
    }

    private func writeLedger(_ text: inout TextWriter) {
        var totals = HistogramTotals()
        totals.add(ledger.flush)
        text.family(
            "gateway_ledger_flush_seconds", .histogram, unit: "seconds", "Time in which an interval's usage was written and synced.")
        text.histogram(Labels(), totals, RequestScale.self)
        text.family(
            "gateway_ledger_unflushed", .gauge, "Requests admitted that the ledger failed to write so far; they are not lost.")
        text.sample()
        text.value(ledger.unflushed.load(ordering: .relaxed))
        text.family("gateway_meters_mended", .counter, "Times that the file of the meters was cut short and was mended.")
        text.sample()
        text.value(ledger.metersMended.load(ordering: .relaxed))
        text.family("gateway_clock_jumps", .counter, "Times that the wall clock jumped, forward or back; periods go on by the time before.")
        text.sample()
        text.value(ledger.clockJumps.load(ordering: .relaxed))
        text.family(
            "gateway_ledger_damaged_lines", .gauge, "Lines of the ledger that are damaged or missing; `gateway ledger verify` names them.")
        text.sample()
        text.value(ledger.damagedLines.load(ordering: .relaxed))
    }

    private func writeState(_ state: ProcessState, _ text: inout TextWriter) {
        text.family("gateway_config_reloads", .counter, "Reloads of the configuration, by result.")
        text.sample()
        text.label("result", "success")
        text.value(state.reloads)
        text.sample()
        text.label("result", "failure")
        text.value(state.failedReloads)
        text.family("gateway_config_last_reload_successful", .gauge, "Whether the last reload was applied.")
        text.sample()
        text.value(state.lastReloadSucceeded ? 1 : 0)
        text.family(
            "gateway_config_last_reload_success_timestamp_seconds", .gauge, unit: "seconds",
            "When the configuration in force was loaded.")
        text.sample()
        text.value(nanoseconds: UInt128(state.lastSuccess))
        text.family("gateway_ready", .gauge, "Whether the gateway takes traffic.")
        text.sample()
        text.value(state.ready ? 1 : 0)
        text.family("gateway_build", .info, "The version that runs.")
        text.sample(Labels("version", version))
        text.value(1)
    }

    private func sum(_ count: (WorkerMetrics) -> UInt64) -> UInt64 {
        all.reduce(0) { $0 &+ count($1.own) }
    }
}

extension ProcessStatistics {
    /// Under the names of the Prometheus clients.
    func write(to text: inout TextWriter) {
        if let cpuTime {
            text.family("process_cpu_seconds", .counter, unit: "seconds", "User and system CPU time spent.")
            text.sample()
            text.value(nanoseconds: UInt128(cpuTime))
        }
        if let residentMemory {
            text.family("process_resident_memory_bytes", .gauge, unit: "bytes", "Resident memory size.")
            text.sample()
            text.value(residentMemory)
        }
        if let virtualMemory {
            text.family("process_virtual_memory_bytes", .gauge, unit: "bytes", "Virtual memory size.")
            text.sample()
            text.value(virtualMemory)
        }
        if let openDescriptors {
            text.family("process_open_fds", .gauge, "Open file descriptors.")
            text.sample()
            text.value(openDescriptors)
        }
        if let maxDescriptors {
            text.family("process_max_fds", .gauge, "Maximum number of open file descriptors.")
            text.sample()
            text.value(maxDescriptors)
        }
        if let startTime {
            text.family("process_start_time_seconds", .gauge, unit: "seconds", "Start time since 1970.")
            text.sample()
            text.value(nanoseconds: UInt128(startTime))
        }
        if let threads {
            text.family("process_threads", .gauge, "Threads of this process.")
            text.sample()
            text.value(threads)
        }
    }
}
