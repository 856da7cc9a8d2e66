/// What happens with a service that decides about requests.
public enum DecisionEvent: UInt8, CaseIterable, Sendable {
    /// A request passes, or does not, by its word, fresh or kept.
    case allowed, denied
    /// Nobody could decide: the request is refused, or passes as the configuration says.
    case unavailable, passed
    /// A question has got an answer, or none; or was not asked because too many had got none.
    case answered, failed, spared
    /// Too many have got none.
    case opened

    /// Of a request's end; nil for what is said of questions.
    var result: StaticString? {
        switch self {
        case .allowed: "allowed"
        case .denied: "denied"
        case .unavailable: "unavailable"
        case .passed: "passed"
        case .answered, .failed, .spared, .opened: nil
        }
    }

    /// Of a question.
    var call: StaticString? {
        switch self {
        case .answered: "answered"
        case .failed: "failed"
        case .spared: "spared"
        case .allowed, .denied, .unavailable, .passed, .opened: nil
        }
    }
}

/// What has become of a copy of a request.
public enum MirrorResult: Int, CaseIterable, Sendable {
    /// It was answered, whatever with.
    case ok
    case failed
    /// There were as many as there may be.
    case dropped

    var label: StaticString {
        switch self {
        case .ok: "ok"
        case .failed: "failed"
        case .dropped: "dropped"
        }
    }
}

extension MetricsRegistry {
    func writeDecisions(_ tenants: [TenantTotals], _ text: inout TextWriter) {
        func family(_ name: StaticString, _ help: StaticString, _ label: (DecisionEvent) -> StaticString?) {
            text.family(name, .counter, help)
            for tenant in tenants {
                for (key, count) in tenant.decisions.counts {
                    guard let name = DecisionEvent(rawValue: UInt8(truncatingIfNeeded: key)).flatMap(label) else { continue }
                    text.sample(tenant.labels)
                    text.label("result", name)
                    text.value(count)
                }
            }
        }
        family("gateway_authorizations", "Requests that `authorize` was asked about; unavailable and passed: without an answer.", \.result)
        family("gateway_authorization_calls", "Questions to services of `authorize`; spared: its breaker was open.", \.call)
        text.family("gateway_authorization_breaker_opened", .counter, "Times that a service of `authorize` was left alone.")
        for tenant in tenants {
            for (key, count) in tenant.decisions.counts where key == UInt16(DecisionEvent.opened.rawValue) {
                text.sample(tenant.labels)
                text.value(count)
            }
        }
        text.family("gateway_authorization_breakers_open", .gauge, "Services of `authorize` that workers leave alone at present.")
        for tenant in tenants where tenant.decisions.counts.contains(where: { $0.key == UInt16(DecisionEvent.opened.rawValue) }) {
            text.sample(tenant.labels)
            text.value(UInt64(clamping: tenant.openBreakers))
        }
    }
}
