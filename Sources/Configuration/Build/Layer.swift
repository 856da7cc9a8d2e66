import Base

/// What a plan, `defaults`, a tenant or a route says; each is laid over the one before, and the nearest wins.
struct Layer {
    var maxBody: UInt64?
    var weight: UInt64?
    var strictPaths: Bool?
    var door = DoorSettings()
    var bounds = TenantBounds()
    var features: [(name: String, isOn: Bool)] = []
    var settings: [(name: String, value: String)] = []
    var requestHeaders: [HeaderChange] = []
    var responseHeaders: [HeaderChange] = []
    var usage = UsageLayer()
    var prices = PriceSettings()

    /// Takes in what all four kinds of block may say; false where `item` is something else.
    mutating func take(_ item: Checked) -> Bool {
        switch (item.id, item.values.first) {
        case (.maxBody, .number(let bytes)): maxBody = bytes
        case (.strictPaths, .text(let word)): strictPaths = word == "on"
        case (.weight, .number(let share)): weight = share
        case (.tenantConnections, .number(let count)): bounds.connections = Int(count)
        case (.tenantStreams, .number(let count)): bounds.streams = Int(count)
        case (.share, .number(let percent)): bounds.share = Int(percent)
        case (.feature, .text(let name)): features.append((name, item.values[1] == .text("on")))
        case (.set, .text(let name)):
            if case .text(let value) = item.values[1] { settings.append((name, value)) }
        case (.requestHeader, .text(let name)): requestHeaders.append(Self.change(name, item))
        case (.responseHeader, .text(let name)): responseHeaders.append(Self.change(name, item))
        default: return usage.take(item)
        }
        return true
    }

    /// `off` without quotes removes the field.
    static func change(_ name: String, _ item: Checked) -> HeaderChange {
        if item.words[1].text == "off", !item.words[1].isQuoted { return HeaderChange(name: name, value: nil) }
        guard case .text(let value) = item.values[1] else { return HeaderChange(name: name, value: nil) }
        return HeaderChange(name: name, value: value)
    }

    /// This layer with a nearer one on top.
    func under(_ nearer: Layer) -> Layer {
        var merged = Layer()
        merged.usage = usage.under(nearer.usage)
        merged.prices = prices.under(nearer.prices)
        merged.maxBody = nearer.maxBody ?? maxBody
        merged.door = door.under(nearer.door)
        merged.strictPaths = nearer.strictPaths ?? strictPaths
        merged.weight = nearer.weight ?? weight
        merged.bounds = bounds.under(nearer.bounds)
        merged.features = Self.merge(features, nearer.features) { $0.name }
        merged.settings = Self.merge(settings, nearer.settings) { $0.name }
        merged.requestHeaders = Self.merge(requestHeaders, nearer.requestHeaders) { $0.name.asciiLowercased }
        merged.responseHeaders = Self.merge(responseHeaders, nearer.responseHeaders) { $0.name.asciiLowercased }
        return merged
    }

    /// By name: what the nearer list names stands in the place of what it overrides, and what it adds follows.
    private static func merge<Item>(_ base: [Item], _ nearer: [Item], by name: (Item) -> String) -> [Item] {
        if nearer.isEmpty { return base }
        if base.isEmpty { return nearer }
        var merged = base
        var places: [String: Int] = [:]
        for (place, item) in base.enumerated() { places[name(item)] = place }
        for item in nearer {
            if let place = places[name(item)] { merged[place] = item } else { merged.append(item) }
        }
        return merged
    }
}
