extension Builder {
    mutating func takeUpstream(_ item: Checked, _ name: String) {
        var upstream = UpstreamSettings(name: name, location: item.words[0].location)
        for said in checker.block(of: item).items {
            switch (said.id, said.values[0]) {
            case (.server, .server(let host, let port)):
                var server = ServerSettings(host: host, port: port, location: said.words[0].location)
                if case .number(let weight) = said.option("weight") { server.weight = Int(weight) }
                upstream.servers.append(server)
            case (.balance, let value): upstream.balance = value == .text("round_robin") ? .roundRobin : .leastRequests
            case (.connectTimeout, .number(let time)): upstream.connectTimeout = time
            case (.responseTimeout, .number(let time)): upstream.responseTimeout = time
            case (.serverConnections, .number(let count)): upstream.maxConnections = Int(count)
            case (.serverProtocols, _): upstream.protocols = said.words.map(\.text)
            case (.healthCheck, .text(let path)): upstream.healthCheck = healthCheck(said, path)
            default: break
            }
        }
        if upstream.protocols.first == "h2", upstream.healthCheck != nil {
            diagnostics.error(at: item.words[0], "`health_check` of an upstream with `protocols h2` is not supported yet")
        }
        upstreams[name] = settings.hot.upstreams.count
        settings.hot.upstreams.append(upstream)
    }

    private func healthCheck(_ item: Checked, _ path: String) -> HealthCheckSettings {
        var check = HealthCheckSettings(path: path)
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
