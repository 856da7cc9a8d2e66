import Base

/// What else sees a route's requests: a service that decides about them, and an upstream that gets copies.
extension Builder {
    mutating func takeOthers(_ items: [Checked], _ draft: inout RouteDraft) {
        for item in items {
            switch item.id {
            case .authorize: takeDecision(item, items, &draft)
            case .mirror: takeMirror(item, items, &draft)
            case .mirrorBody where !items.contains { $0.id == .mirror }:
                let name = checker.tree.statements[item.statement].name
                diagnostics.error(at: name, "`mirror_body` says nothing without `mirror`", suggestion: "add `mirror NAME;`")
            default: break
            }
        }
    }

    // MARK: Decisions

    private mutating func takeDecision(_ item: Checked, _ items: [Checked], _ draft: inout RouteDraft) {
        guard case .text(let url)? = item.values.first else { return }
        if url.contains("#") {
            return diagnostics.error(at: item.words[0], "\(quoted(url)) names a part of a page: no server is asked for that")
        }
        guard let address = WebAddress(url) else {
            return diagnostics.error(
                at: item.words[0], "\(quoted(url)) is no URL that can be asked: it has a user, or a port that is none",
                suggestion: "write http://HOST[:PORT]/PATH")
        }
        if let fault = Self.fault(ofHost: address.host) {
            return diagnostics.error(at: item.words[0], "\(quoted(address.host)) is not a host: \(fault)")
        }
        var decision = DecisionSettings(address: address)
        if case .number(let time)? = item.option("timeout") { decision.timeout = time }
        if case .number(let time)? = item.option("cache") { decision.keepsFor = time }
        decision.passesOnError = item.option("on_error") == .text("allow")
        for said in checker.block(of: item).items {
            guard case .text(let name)? = said.values.first else { continue }
            let isOfRequest = said.id == .decidedRequestField
            guard let own = isOfRequest ? DirectiveID.requestHeader : DirectiveID.responseHeader as DirectiveID?,
                isFree(name, isOfRequest: isOfRequest, at: said.words[0], of: items, own)
            else { continue }
            if isOfRequest { decision.requestFields.append(name) } else { decision.responseFields.append(name) }
        }
        draft.settings.decision = decision
        // Whoever else sends them: trailers, too.
        draft.layer.requestHeaders += decision.requestFields.map { HeaderChange(name: $0, value: nil) }
        // Each line of this one is a cookie of its own.
        let replaced = decision.responseFields.filter { $0.asciiLowercased != "set-cookie" }
        draft.layer.responseHeaders += replaced.map { HeaderChange(name: $0, value: nil) }
    }

    private static func fault(ofHost host: String) -> String? { IPAddress(host) == nil ? Hosts.nameFault(host) : nil }

    /// Fields that are the gateway's own word, or that frame what stands beside them.
    private static let own: (request: Set<String>, response: Set<String>) = (
        [
            "expect", "x-request-id", "via", "x-gateway-via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
            "x-real-ip", "traceparent", "x-mirror",
        ],
        ["x-request-id", "date", "content-type", "content-encoding", "content-range", "www-authenticate"]
    )

    private func isFree(_ name: String, isOfRequest: Bool, at word: Word, of items: [Checked], _ other: DirectiveID) -> Bool {
        let lower = name.asciiLowercased
        let isOwn = isOfRequest ? Self.own.request.contains(lower) : Self.own.response.contains(lower)
        if isOwn || (!isOfRequest && lower.hasPrefix("access-control-")) {
            diagnostics.error(at: word, "\(quoted(name)) is not the service's to say", suggestion: "leave it out")
            return false
        }
        let clash = items.first { $0.id == other && $0.words[0].text.asciiLowercased == lower }
        guard let clash else { return true }
        diagnostics.error(
            at: clash.words[0], "\(quoted(name)) is written by `authorize` (\(place(word.location))): it can't be set here as well")
        return false
    }

    // MARK: Mirrors

    private func takeMirror(_ item: Checked, _ items: [Checked], _ draft: inout RouteDraft) {
        guard let index = upstream(item.words[0]) else { return }
        var share: UInt8 = 100
        if item.values.count > 1, case .number(let percent) = item.values[1] { share = UInt8(percent) }
        var mirror = MirrorSettings(upstream: item.words[0].text, share: share)
        for case .number(let bytes)? in items.lazy.filter({ $0.id == .mirrorBody }).map(\.values.first) { mirror.body = Int(bytes) }
        (draft.settings.mirror, draft.settings.mirrored) = (mirror, index)
        // By it an application tells copies: no client can make one.
        draft.layer.requestHeaders.append(HeaderChange(name: "X-Mirror", value: nil))
    }
}
