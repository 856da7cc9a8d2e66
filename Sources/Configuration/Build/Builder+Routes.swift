import Base

/// Routes: what their blocks say, and what they are for one tenant.
extension Builder {
    /// What the routes of one block say. Once all upstreams that they may name are known.
    mutating func drafts(_ items: [Checked], _ source: RouteSettings.Source) -> RouteDrafts {
        var drafts = RouteDrafts()
        for item in items { read(item, source, into: &drafts) }
        for draft in drafts.all where draft.guards && draft.settings.splitsGET {
            if drafts.first(guardingHEADOf: draft.settings) != nil { continue }
            let methods = (draft.settings.conditions.methods + ["HEAD"]).joined(separator: ",")
            diagnostics.warning(
                at: draft.word,
                "route \(quoted(draft.settings.name)) is not about HEAD, which tells all that GET would tell but the content",
                suggestion: "write `method=\(methods)`")
        }
        return drafts
    }

    private mutating func read(_ item: Checked, _ source: RouteSettings.Source, into drafts: inout RouteDrafts) {
        guard let (path, word, isExact) = path(of: item) else { return }
        var draft = RouteDraft(settings: RouteSettings(path: path, location: word.location), word: word)
        (draft.settings.isExact, draft.settings.source) = (isExact, source)
        draft.settings.conditions = conditions(of: item)
        let block = checker.block(of: item)
        draft.layer.door = door(of: block.items)
        takeWay(block.items, &draft.settings)
        takeOthers(block.items, &draft)
        for said in block.items where !draft.layer.take(said) {
            switch (said.id, said.values.first) {
            case (.upstream, _): (draft.settings.upstream, draft.hasUpstream) = (upstream(said.words[0]), true)
            case (.authenticate, _): (draft.settings.authenticate, draft.hasAuthenticate) = (methods(said), true)
            case (.responseTimeout, .number(let time)): draft.settings.responseTimeout = time
            case (.respond, _), (.redirect, _): takeAnswer(said, &draft.settings)
            case (.delay, _), (.abort, _): take(fault: said, &draft.settings)
            case (.require, _):
                let requirement = RouteRequirement(roles: said.names("role"), scopes: said.names("scope"))
                draft.settings.requirements.append(requirement)
            default: break
            }
        }
        if let answer = block.items.first(where: { $0.id == .respond || $0.id == .redirect }),
            let other = block.items.first(where: { Self.ofForwarding.contains($0.id) })
        {
            let (name, unused) = (checker.tree.statements[answer.statement].name, checker.tree.statements[other.statement].name)
            diagnostics.error(at: unused, "\(quoted(unused.text)) is never used: `\(name.text)` answers here (\(place(name.location)))")
        }
        let route = draft.settings
        if let earlier = drafts.first(hiding: route) {
            let line = checker.line(earlier.settings.location, from: item)
            if earlier.settings.conditions == route.conditions {
                return diagnostics.error(at: word, "a second `route` \(quoted(route.name)): the first is in \(line)")
            }
            diagnostics.warning(
                at: word, "route \(quoted(route.name)) never matches: \(quoted(earlier.settings.name)) takes all of it (\(line))")
        }
        drafts.add(draft)
    }

    /// What says nothing about an answer of the gateway's own.
    private static let ofForwarding: Set<DirectiveID> = [
        .upstream, .responseTimeout, .split, .rewrite, .rewriteHost, .mirror, .mirrorBody,
    ]

    private func path(of item: Checked) -> (path: String, word: Word, isExact: Bool)? {
        guard case .text(let first) = item.values[0] else { return nil }
        guard first == "=" && !item.words[0].isQuoted else {
            if item.words.count > 1 {
                diagnostics.error(
                    at: item.words[1], "too many values for `route`", suggestion: "one path, then conditions as `method=GET`")
                return nil
            }
            return (first, item.words[0], false)
        }
        guard item.values.count > 1, case .text(let path) = item.values[1], path != "=" else {
            diagnostics.error(at: item.words[0], "`route` needs a path behind its `=`", suggestion: "write `route = /PATH { ... }`")
            return nil
        }
        return (path, item.words[1], true)
    }

    private func conditions(of item: Checked) -> RouteConditions {
        var conditions = RouteConditions()
        for (name, value) in item.options {
            guard case .text(let text) = value else { continue }
            let colon = text.firstIndex(of: ":")
            let said = colon.map { String(text[text.index(after: $0)...]) }
            let what = String(text[..<(colon ?? text.endIndex)])
            switch name {
            case "method": conditions.methods = text.split(separator: ",").map(String.init)
            case "header": conditions.headers.append(.init(name: what.asciiLowercased, value: said))
            default: conditions.query.append(.init(name: what, value: said))
            }
        }
        return conditions
    }

    /// A tenant's own, then its plan's, then those of `defaults`.
    mutating func takeRoutes(
        _ own: RouteDrafts, _ layer: Layer, _ hasUpstream: Bool, _ tenant: inout TenantSettings, at word: Word
    ) {
        let ofPlan = tenant.plan.flatMap { planRoutes[$0] } ?? RouteDrafts()
        for draft in own.all {
            let route = draft.route(of: tenant, layer)
            judge(route, draft, layer, hasUpstream)
            tenant.routes.append(route)
        }
        for draft in ofPlan.all { inherit(draft, layer, hasUpstream, &tenant, behind: [own]) }
        for draft in defaults.routes.all { inherit(draft, layer, hasUpstream, &tenant, behind: [own, ofPlan]) }
        if tenant.routesOnly, tenant.routes.isEmpty {
            diagnostics.error(at: word, "tenant \(quoted(tenant.id)) has `routes only` and no route: nothing of it can be reached")
        }
    }

    private func judge(_ route: RouteSettings, _ draft: RouteDraft, _ layer: Layer, _ hasUpstream: Bool) {
        if !hasUpstream, !draft.hasUpstream, route.answer == nil {
            diagnostics.error(
                at: draft.word, "route \(quoted(route.name)) has no upstream, and its tenant has none either",
                suggestion: "add `upstream NAME;`")
        }
        checkLimits(of: route, draft, layer)
    }

    private func checkLimits(of route: RouteSettings, _ draft: RouteDraft, _ layer: Layer) {
        checkRates(route.usage, draft.word)
        if route.usage.cost != 1 || !route.usage.quotas.isEmpty {
            checkCost(route.usage.cost, route.usage.quotas + layer.usage.settings.quotas, draft.word)
        }
    }

    /// What a plan or `defaults` says is judged by the first tenant that has it; that it can never match, by all of them.
    private mutating func inherit(
        _ draft: RouteDraft, _ layer: Layer, _ hasUpstream: Bool, _ tenant: inout TenantSettings, behind: [RouteDrafts]
    ) {
        let route = draft.route(of: tenant, layer)
        let taker = behind.lazy.compactMap { $0.first(taking: route) }.first
        var heirs = heirs[route.location] ?? Heirs(draft: draft)
        if heirs.isNew {
            heirs.isNew = false
            checkLimits(of: route, draft, layer)
        }
        if let taker {
            heirs.taker = heirs.taker ?? taker.settings
        } else {
            heirs.isReached = true
            if !hasUpstream, !draft.hasUpstream, route.answer == nil, !heirs.lacksUpstream {
                heirs.lacksUpstream = true
                diagnostics.error(
                    at: draft.word, "route \(quoted(route.name)) has no upstream, and tenant \(quoted(tenant.id)) has none either",
                    suggestion: "add `upstream NAME;` to one of them")
            }
        }
        if draft.guards, let other = behind.lazy.compactMap({ $0.first(before: route) }).first {
            heirs.passed = heirs.passed ?? (tenant.id, other.settings)
            heirs.passedCount += 1
        }
        self.heirs[route.location] = heirs
        tenant.routes.append(route)
    }

    /// The tenants that have a route from their plan or from `defaults`.
    struct Heirs {
        let draft: RouteDraft
        var isNew = true
        /// It can match with one of them.
        var isReached = false
        /// What takes all of it with the first one where something does.
        var taker: RouteSettings?
        /// The first tenant with a route for more than its path that is asked before it, and how many there are.
        var passed: (tenant: String, by: RouteSettings)?
        var passedCount = 0
        /// It was said that it leads nowhere with one of them.
        var lacksUpstream = false
    }

    /// Routes of plans and `defaults` that no tenant leaves anything, and those that keep somebody out, but can be
    /// passed by with some.
    func checkHeirs() {
        for heirs in heirs.values {
            if heirs.isReached {
                if let passed = heirs.passed { warn(of: heirs, passed) }
                continue
            }
            guard let taker = heirs.taker else { continue }
            let (name, place) = (heirs.draft.settings.name, place(taker.location))
            diagnostics.warning(
                at: heirs.draft.word, "route \(quoted(name)) never matches: \(quoted(taker.name)) takes all of it (\(place))")
        }
    }

    private func warn(of heirs: Heirs, _ passed: (tenant: String, by: RouteSettings)) {
        let others = heirs.passedCount == 1 ? "" : " and \(heirs.passedCount - 1) more"
        let (name, other) = (quoted(heirs.draft.settings.name), quoted(passed.by.name))
        diagnostics.warning(
            at: heirs.draft.word,
            "route \(name) does not keep all out whom it is to: \(other) is looked at before it (\(place(passed.by.location))), for tenant "
                + quoted(passed.tenant) + others)
    }
}
