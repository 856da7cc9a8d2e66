/// One row of the table of directives: everything that is known about a name in the places where it may stand.
public struct Directive: Sendable {
    /// A kind of block, or the file itself.
    public enum Place: String, Sendable, CaseIterable {
        case top, listen, limits, overload, upstream, tls, plan, jwt, defaults, tenant, route, authorize
    }

    /// Whether a second one may stand in the same block.
    enum Repetition: Sendable {
        case once
        case many
        /// One for each first argument: two plans may not share a name.
        case oncePerFirstArgument
    }

    let id: DirectiveID
    public let name: String
    /// Where it may stand.
    public let places: [Place]
    let arguments: [Argument]
    public let options: [Option]
    /// The place that its `{ ... }` opens; nil where it takes none.
    public let block: Place?
    /// Whether the block may be left out for a `;`.
    let isBlockOptional: Bool
    let repetition: Repetition
    /// Whether its place is incomplete without one.
    public let isRequired: Bool
    /// What holds without it, as it would be written; nil where nothing does.
    public let defaultValue: String?
    /// A reload applies it; otherwise only a start does.
    public let isHot: Bool
    /// Whether the gateway acts on it already.
    public let isSupported: Bool
    /// One line.
    public let help: String
    /// Lines for what one has no room for.
    public let details: [String]

    /// As it is written: `rate N/s|m|h [burst=COUNT];`
    public var usage: String {
        var text = name
        for argument in arguments where !argument.name.isEmpty {
            let shown = argument.isRepeated ? "\(argument.name)..." : argument.name
            text += argument.isOptional ? " [\(shown)]" : " \(shown)"
        }
        for option in options { text += " [\(option.name)=\(option.type.usage)]\(option.isRepeated ? "..." : "")" }
        if block == nil { return text + ";" }
        return text + (isBlockOptional ? " [{ ... }]" : " { ... }")
    }

    struct Argument: Sendable {
        /// Empty where the one before it stands for both.
        var name: String
        var type: ValueType
        var isOptional = false
        /// The last argument may stand any number of times.
        var isRepeated = false
        /// Values that no other may stand beside.
        var alone: [String] = []

        static func one(_ name: String, _ type: ValueType) -> Argument { Argument(name: name, type: type) }
        static func one(_ type: ValueType) -> Argument { Argument(name: type.usage, type: type) }
        static func optional(_ type: ValueType) -> Argument {
            Argument(name: type.usage, type: type, isOptional: true)
        }
        /// Words that only some forms of the directive have.
        static func more(_ name: String) -> Argument {
            Argument(name: name, type: .text, isOptional: true, isRepeated: true)
        }
        static func many(_ name: String, _ type: ValueType, alone: [String] = []) -> Argument {
            Argument(name: name, type: type, isRepeated: true, alone: alone)
        }
    }

    /// `name=value` behind the arguments.
    public struct Option: Sendable {
        public var name: String
        var type: ValueType
        /// What holds without it; nil where nothing does.
        public var defaultValue: String?
        /// It may stand any number of times.
        var isRepeated: Bool
        init(_ name: String, _ type: ValueType, default defaultValue: String? = nil, repeats isRepeated: Bool = false) {
            (self.name, self.type, self.defaultValue, self.isRepeated) = (name, type, defaultValue, isRepeated)
        }
    }

    var minimumArguments: Int { arguments.count { !$0.isOptional } }
    var maximumArguments: Int { arguments.last?.isRepeated == true ? Int.max : arguments.count }

    /// What it means stands in its options alone.
    var saysNothingAlone: Bool { arguments.isEmpty && !options.isEmpty && block == nil }

    /// The type of the argument at `index`; a repeated last one goes on.
    func argument(at index: Int) -> Argument? {
        index < arguments.count ? arguments[index] : arguments.last.flatMap { $0.isRepeated ? $0 : nil }
    }

    init(
        _ id: DirectiveID, _ name: String, in places: [Place], _ arguments: [Argument] = [], options: [Option] = [],
        block: Place? = nil, blockOptional: Bool = false, repeats repetition: Repetition = .once,
        required: Bool = false, default defaultValue: String? = nil, cold: Bool = false, supported: Bool = true,
        _ help: String, details: [String] = []
    ) {
        (self.id, self.name, self.places, self.arguments, self.options) = (id, name, places, arguments, options)
        (self.block, isBlockOptional, self.repetition, isRequired) = (block, blockOptional, repetition, required)
        (self.defaultValue, isHot, isSupported, self.help, self.details) = (defaultValue, !cold, supported, help, details)
    }
}

/// A row's identity: some names mean different things in different places.
enum DirectiveID: UInt8, Sendable {
    case workers, state, shutdownTimeout, upgradeTimeout
    case trustedProxies, trustedFields, passFields, via, sharedHost, listen, admin, accessLog, problemBase
    case metricsTenants, ledgerInterval, ledgerRollup, ledgerRetention, ledgerCompress
    case limits, upstreamBlock, planBlock, jwtBlock, defaults, tenant, include
    case certificate, protocols, serverProtocols, minVersion
    case headerTimeout, bodyTimeout, bodyMinRate, idleTimeout, maxHeaderSize, maxHeaders, maxConnections, maxStreams, maxResets
    case addressConnections, addressHandshakes, overload, overloadMemory, overloadDescriptors, overloadLag
    case takesProxy, sendsProxy, upstreamTLS, tlsName, serverCA, shownCertificate, verify
    case server, balance, connectTimeout, responseTimeout, serverConnections, healthCheck, eject, slowStart
    case queue, maxRequests, retry, serverIdle, tenantConnections, tenantStreams, share
    case rate, concurrency, prorate, quota, bandwidth, cost, costHeader, charge, quotaResetDay, ratelimitHeaders
    case maxBody, weight, feature, set, requestHeader, responseHeader
    case price, currency, plan, upstream, authenticate, host, namespace, suspended, key, jwt, route
    case routesOnly, strictPaths, require, roleClaim, scopeClaim
    case split, rewrite, rewriteHost, mirror, mirrorBody
    case authorize, decidedRequestField, decidedResponseField
    case allow, deny, cors, respond, redirect, redirectsToHTTPS, delay, abort
    case issuer, audience, keys, algorithms, tenantClaim, leeway, claimHeader
    case clientCA, clientCertificate, keysMaxAge
}
