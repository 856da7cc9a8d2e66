import Base
import Metering

/// What the admin API tells and does, given to it by whoever puts the gateway together. All of it is called on the
/// thread that calls the handler.
public struct AdminServices {
    /// Whether the gateway takes traffic: false while starting and while draining.
    public var isReady: () -> Bool
    /// Names under which requests reach it, beside addresses and `localhost`: lower case, without a trailing dot.
    public var hosts: () -> [String]
    /// Renders the metrics in the form that the field `Accept` asks for, and calls `done` once.
    public var metrics: (_ accept: String?, _ done: @escaping (_ contentType: String, _ body: [UInt8]) -> Void) -> Void
    /// The ids of all tenants, ascending. Asked for each page, so it should be at hand.
    public var tenants: () -> [String]
    /// Writes the object that tells everything about one tenant; where there is none, writes nothing and is false.
    public var tenant: (_ id: String, _ json: inout JSONWriter) -> Bool
    /// Begins a reload and calls `done` once, at its end.
    public var reload: (_ done: @escaping (ReloadOutcome) -> Void) -> Void
    /// Has another process take over and calls `done` once, when it has or can't.
    public var upgrade: (_ done: @escaping (UpgradeOutcome) -> Void) -> Void
    /// Reads the ledger and calls `done` once.
    public var usage: (_ query: UsageQuery, _ done: @escaping (UsageAnswer) -> Void) -> Void
    /// What stands in `state/admin.token`, without its line end. While it is empty, nobody gets in.
    public var token: () -> [UInt8]
    /// The directive `problem_base`.
    public var problemBase: () -> String

    public init(
        isReady: @escaping () -> Bool,
        hosts: @escaping () -> [String] = { [] },
        metrics: @escaping (_ accept: String?, _ done: @escaping (_ contentType: String, _ body: [UInt8]) -> Void) -> Void,
        tenants: @escaping () -> [String],
        tenant: @escaping (_ id: String, _ json: inout JSONWriter) -> Bool,
        reload: @escaping (_ done: @escaping (ReloadOutcome) -> Void) -> Void,
        upgrade: @escaping (_ done: @escaping (UpgradeOutcome) -> Void) -> Void = { $0(.rejected(errors: [])) },
        usage: @escaping (_ query: UsageQuery, _ done: @escaping (UsageAnswer) -> Void) -> Void = { _, done in done(.busy) },
        token: @escaping () -> [UInt8],
        problemBase: @escaping () -> String = { "https://gateway.invalid/problems/" }
    ) {
        (self.isReady, self.hosts, self.metrics, self.tenants, self.tenant) = (isReady, hosts, metrics, tenants, tenant)
        self.upgrade = upgrade
        (self.reload, self.usage, self.token, self.problemBase) = (reload, usage, token, problemBase)
    }
}

/// What the ledger says to a question.
public enum UsageAnswer: Sendable {
    /// An array of usage rows.
    case rows(json: [UInt8], isEmpty: Bool)
    /// Nothing as fine as was asked for is kept.
    case tooCoarse(String)
    case failed(String)
    /// Too many others are asking.
    case busy
}

/// How an upgrade of the running binary ended.
public enum UpgradeOutcome: Sendable {
    /// The process `pid` serves from now on.
    case tookOver(pid: Int32, from: Int32)
    /// Everything is as before. Why, a line each.
    case rejected(errors: [String])
}

/// How a reload ended.
public enum ReloadOutcome: Sendable {
    case applied(ReloadChange)
    /// The old configuration goes on. Each error as `FILE:LINE:COLUMN: error: ...`.
    case rejected(errors: [String])
}

/// What a reload changed: ids of tenants, and what it could not change.
public struct ReloadChange: Sendable {
    public var added: [String]
    public var removed: [String]
    public var changed: [String]
    /// What else has changed, a line each: listeners, certificates, upstreams, limits, and the like.
    public var settings: [String]
    /// What takes a restart, and the like.
    public var warnings: [String]

    public init(
        added: [String] = [], removed: [String] = [], changed: [String] = [], settings: [String] = [], warnings: [String] = []
    ) {
        (self.added, self.removed, self.changed) = (added, removed, changed)
        (self.settings, self.warnings) = (settings, warnings)
    }
}
