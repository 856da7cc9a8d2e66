import Base

/// What is looked at before a request's credentials: addresses, and origins of browsers' pages.
extension Builder {
    /// What the statements of one block say of it.
    func door(of items: [Checked]) -> DoorSettings {
        var door = DoorSettings()
        var whole: Word?
        for item in items {
            switch item.id {
            case .allow, .deny:
                for case (let word, .block(let block)) in zip(item.words, item.values) {
                    if let whole {
                        diagnostics.warning(
                            at: word, "\(quoted(word.text)) is never looked at: `all` stands in front of it (line \(whole.location.line))")
                    }
                    if block == .all { whole = whole ?? word }
                    door.addresses = (door.addresses ?? []) + [AddressRule(block: block, allows: item.id == .allow)]
                }
            case .cors: door.cors = cors(item)
            default: break
            }
        }
        if door.cors?.origins.isEmpty == false {
            for item in items where item.id == .responseHeader {
                guard case .text(let name)? = item.values.first, let clash = clash(door, [Layer.change(name, item)]) else { continue }
                diagnostics.error(
                    at: item.words[0], "\(quoted(clash)) is written by `cors`, and browsers believe neither of two",
                    suggestion: "leave it out")
            }
        }
        if let addresses = door.addresses, whole == nil, addresses.allSatisfy(\.allows), let item = items.last(where: { $0.id == .allow }) {
            diagnostics.warning(
                at: checker.tree.statements[item.statement].name, "this keeps nobody out: whom no line is about may come",
                suggestion: "add `deny all;` behind it")
        }
        return door
    }

    private func cors(_ item: Checked) -> CORSSettings {
        let name = checker.tree.statements[item.statement].name
        var cors = CORSSettings()
        func list(_ option: String) -> [String]? {
            guard case .text(let text)? = item.option(option) else { return nil }
            return text.split(separator: ",").map(String.init)
        }
        if item.words.first?.text == "off" {
            if let other = item.options.first {
                diagnostics.error(at: name, "`cors off` has no \(quoted(other.name + "="))", suggestion: "leave out one of both")
            }
            return cors
        }
        guard let origins = list("origins") else {
            diagnostics.error(at: name, "`cors` needs origins=", suggestion: "write `cors origins=https://HOST;`, or `cors off;`")
            return cors
        }
        cors.origins = origins
        if let methods = list("methods") { cors.methods = methods }
        (cors.headers, cors.exposed) = (list("headers") ?? [], list("expose") ?? [])
        cors.allowsCredentials = item.option("credentials") == .text("on")
        if case .number(let time)? = item.option("max_age") { cors.maxAge = time }
        guard cors.allowsCredentials else { return cors }
        // Fetch, "CORS protocol and credentials": there it is no wildcard, but a name that nobody has.
        let lists = [("origins", cors.origins), ("methods", cors.methods), ("headers", cors.headers), ("expose", cors.exposed)]
        for (option, names) in lists where names == ["*"] {
            let why = option == "origins" ? "every page there is could act in its visitors' names" : "browsers take that for a name"
            diagnostics.error(at: name, "`\(option)=*` can't stand beside credentials=on: \(why)", suggestion: "name them")
        }
        return cors
    }

    /// What blocks around one with `cors` say on their own, which stands on answers all the same.
    func checkBrowserFields(_ tenant: TenantSettings, at word: Word) {
        func report(_ name: String, _ whose: String) {
            diagnostics.error(
                at: word, "\(quoted(name)) is written by the `cors` of \(whose), and browsers believe neither of two",
                suggestion: "write `response_header \(name) off;` beside the `cors`")
        }
        if let name = clash(tenant.door, tenant.responseHeaders) { return report(name, "tenant \(quoted(tenant.id))") }
        for route in tenant.routes {
            guard let name = clash(route.door, route.responseHeaders) else { continue }
            return report(name, "route \(quoted(route.name)) of tenant \(quoted(tenant.id))")
        }
    }

    /// The field that an answer would have twice.
    private func clash(_ door: DoorSettings, _ changes: [HeaderChange]) -> String? {
        guard let cors = door.cors, !cors.origins.isEmpty else { return nil }
        return changes.first { $0.value != nil && $0.name.asciiLowercased.hasPrefix("access-control-") }?.name
    }
}
