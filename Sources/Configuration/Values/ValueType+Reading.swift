extension ValueType {
    /// Where a value stands and what it may look at.
    struct Surroundings {
        /// Of the file, for relative paths.
        var folder: String
        var source: ConfigurationSource
    }

    /// What `text` means. `isQuoted` keeps a value from being read as a keyword or as a secret's place.
    func read(_ text: String, isQuoted: Bool, in surroundings: Surroundings) throws(ValueFault) -> Value {
        switch self {
        case .count(let range, let word): return try Quantities.count(text, in: range, or: word)
        case .time(let range, let word):
            return text == word ? .text(text) : try Quantities.time(text, in: range)
        case .size(let range): return try Quantities.size(text, in: range)
        case .percent(let range): return try Quantities.percent(text, in: range)
        case .factor(let range): return try Quantities.factor(text, in: range)
        case .rate: return try Quantities.rate(text)
        case .countIn: return try Quantities.countIn(text)
        case .quota: return try Quantities.quota(text)
        case .bandwidth: return try Quantities.bandwidth(text)
        case .choice(let words, let later): return try choice(text, among: words + later)
        case .words(let words):
            for word in text.split(separator: ",", omittingEmptySubsequences: false) { _ = try choice(String(word), among: words) }
            return .text(text)
        case .onOff: return try choice(text, among: ["on", "off"])
        case .identifier: return try Texts.identifier(text)
        case .reference, .text: return try Texts.text(text)
        case .path: return try Texts.path(text, from: surroundings.folder)
        case .keyPath:
            if !isQuoted, text.hasPrefix("env:") {
                throw .refused("a private key is read from a file", suggestion: "write `file:PATH`")
            }
            let path = !isQuoted && text.hasPrefix("file:") ? String(text.dropFirst(5)) : text
            return try Texts.path(path, from: surroundings.folder)
        case .secret:
            guard !isQuoted, Secrets.isReference(text) else {
                throw .refused("a passphrase is read from a file", suggestion: "write `file:PATH`")
            }
            return .text(try Secrets.secret(text, from: surroundings.folder, in: surroundings.source))
        case .keySet:
            if text.contains("://") { return try URLs.url(text, schemes: ["https"]) }
            if !isQuoted, Secrets.isReference(text) {
                return .text(try Secrets.secret(text, from: surroundings.folder, in: surroundings.source))
            }
            return try Texts.path(text, from: surroundings.folder)
        case .url(let schemes): return try URLs.url(text, schemes: schemes)
        case .urlPath: return try URLs.path(text)
        case .routePath: return text == "=" && !isQuoted ? .text(text) : try RouteValues.path(text)
        case .authority: return try RouteValues.authority(text)
        case .splitKey: return try RouteValues.splitKey(text)
        case .methods: return try RouteValues.methods(text)
        case .condition(let ofField): return try RouteValues.condition(text, ofField: ofField)
        case .grants: return try RouteValues.grants(text)
        case .mediaType: return try OwnAnswerValues.mediaType(text)
        case .answerText: return try OwnAnswerValues.text(text)
        case .redirectTarget: return try OwnAnswerValues.target(text)
        case .origins: return try CORSValues.origins(text)
        case .browserMethods: return try CORSValues.methods(text)
        case .browserFields: return try CORSValues.fields(text)
        case .healthPath: return text == "grpc" ? .text(text) : try URLs.path(text)
        case .statuses: return try Quantities.statuses(text)
        case .endpoint: return try Endpoints.endpoint(text)
        case .server: return try Endpoints.server(text)
        case .addressBlock: return try Endpoints.addressBlock(text)
        case .addressBlocks: return text == "all" ? .block(.all) : try Endpoints.addressBlock(text)
        case .host: return try Hosts.host(text, wildcard: false)
        case .hostOrWildcard: return try Hosts.host(text, wildcard: true)
        case .headerName: return try HeaderFields.name(text)
        case .token: return try HeaderFields.token(text)
        case .override: return try HeaderFields.override(text)
        case .headerValue(let mayBeSecret):
            if mayBeSecret, !isQuoted, Secrets.isReference(text) {
                return try HeaderFields.value(
                    try Secrets.secret(text, from: surroundings.folder, in: surroundings.source))
            }
            return try HeaderFields.value(text)
        case .keyDigest: return try Secrets.keyDigest(text)
        case .price: return try Prices.amount(text)
        case .currency: return try Prices.currency(text)
        case .date: return try Dates.date(text)
        }
    }

    private func choice(_ text: String, among words: [String]) throws(ValueFault) -> Value {
        if words.contains(text) { return .text(text) }
        let listed = words.count == 1 ? "`\(words[0])`" : words.map { "`\($0)`" }.joined(separator: ", ")
        throw .refused(
            "\(quoted(text)) is not known here: there is \(listed)",
            suggestion: Suggester().suggestion(for: text, among: words))
    }

    /// Whether `text` is one of this type's own words.
    func isChoice(_ text: String) -> Bool {
        if case .choice(let words, let later) = self { return words.contains(text) || later.contains(text) }
        return false
    }
}
