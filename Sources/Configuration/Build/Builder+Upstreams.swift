extension Builder {
    mutating func takeUpstream(_ item: Checked, _ name: String) {
        var upstream = UpstreamSettings(name: name, location: item.words[0].location)
        for said in checker.block(of: item).items {
            if upstream.take(said) { continue }
            switch (said.id, said.values.first) {
            case (.upstreamTLS, _): upstream.tls = upstreamTLS(said)
            case (.server, .server(let host, let port)):
                var server = ServerSettings(host: host, port: port, location: said.words[0].location)
                if case .number(let weight) = said.option("weight") { server.weight = Int(weight) }
                if said.values.count > 1, case .text(let flag) = said.values[1] { server.flag = ServerFlag(rawValue: flag) }
                upstream.servers.append(server)
            case (.balance, .text(let policy)): upstream.balance = balance(policy, said)
            case (.connectTimeout, .number(let time)): upstream.connectTimeout = time
            case (.responseTimeout, .number(let time)): upstream.responseTimeout = time
            case (.serverConnections, .number(let count)): upstream.maxConnections = Int(count)
            case (.eject, _): upstream.eject = ejection(said)
            case (.slowStart, .number(let time)): upstream.slowStart = time
            case (.serverProtocols, _): upstream.protocols = said.words.map(\.text)
            case (.sendsProxy, let value): upstream.proxyProtocol = value == .text("v1") ? .v1 : .v2
            case (.healthCheck, _): upstream.healthCheck = healthCheck(said)
            default: break
            }
        }
        let isH2Alone = upstream.tls == nil ? upstream.protocols.first == "h2" : !upstream.protocols.contains("http/1.1")
        if isH2Alone { upstream.healthCheck?.speaksH2 = true }
        if !upstream.servers.isEmpty, upstream.servers.allSatisfy({ $0.flag == .drain || $0.flag == .down }) {
            diagnostics.warning(at: item.words[0], "every server of it is out (`drain`, `down`): its requests are refused")
        }
        upstreams[name] = settings.hot.upstreams.count
        settings.hot.upstreams.append(upstream)
    }

    private func balance(_ policy: String, _ item: Checked) -> Balance {
        var keys: [(HashKey, Word)] = []
        if item.values.count > 1, case .text(let word) = item.values[1] {
            keys.append((word == "client" ? .client : word == "tenant" ? .tenant : .path, item.words[1]))
        }
        for case (let option, .text(let name)) in item.options {
            let key: HashKey = option == "header" ? .header(Array(name.asciiLowercased.utf8)) : .cookie(Array(name.utf8))
            if let word = optionWord(option, of: item) { keys.append((key, word)) }
        }
        if policy != "hash" {
            if let (_, word) = keys.first { diagnostics.error(at: word, "only `hash` goes by a key") }
            return policy == "round_robin" ? .roundRobin : .leastRequests
        }
        if keys.count > 1 { diagnostics.error(at: keys[1].1, "`hash` goes by one key") }
        guard let (key, _) = keys.first else {
            diagnostics.error(
                at: item.words[0], "`hash` needs a key", suggestion: "write client, tenant, path, header=NAME or cookie=NAME behind it")
            return .leastRequests
        }
        return .hash(key)
    }

    private func ejection(_ item: Checked) -> EjectSettings {
        var eject = EjectSettings()
        for case (let name, .number(let value)) in item.options {
            switch name {
            case "failures": eject.failures = Int(value)
            case "for": eject.time = value
            case "max_share": eject.maxShare = Int(value)
            case "slower": eject.slower = Int(value)
            default: break
            }
        }
        return eject
    }

    private func healthCheck(_ item: Checked) -> HealthCheckSettings? {
        var path: String?
        if case .text(let word) = item.values.first { path = word }
        if let word = optionWord("grpc", of: item), path != nil { diagnostics.error(at: word, "a path, or `grpc`: not both") }
        var check = HealthCheckSettings(path: path ?? "")
        if path == "grpc" { check.grpcService = "" }
        for case (let name, .text(let text)) in item.options {
            switch name {
            case "body": check.body = text
            case "host": check.host = text
            case "grpc": check.grpcService = text
            default: break
            }
        }
        if path == nil, check.grpcService == nil {
            diagnostics.error(at: checker.tree.statements[item.statement].name, "`health_check` needs a path, `grpc` or `grpc=SERVICE`")
            return nil
        }
        if check.grpcService != nil {
            for name in ["status", "body"] {
                if let word = optionWord(name, of: item) { diagnostics.error(at: word, "gRPC's check has an answer of its own") }
            }
            (check.path, check.speaksH2) = ("", true)
        }
        if case .statuses(let range) = item.option("status") { check.statuses = range }
        for case (let name, .number(let value)) in item.options {
            switch name {
            case "interval": check.interval = value
            case "timeout": check.timeout = value
            case "fall": check.fall = Int(value)
            case "rise": check.rise = Int(value)
            default: break
            }
        }
        if check.timeout > check.interval, let word = optionWord("timeout", of: item) ?? optionWord("interval", of: item) {
            let (timeout, interval) = (Quantities.show(time: check.timeout), Quantities.show(time: check.interval))
            diagnostics.warning(
                at: word, "a check may take \(timeout) and the next one is due after \(interval): it waits for the one before")
        }
        return check
    }
}
