import Base

/// What is used of an upstream by all loops together, whatever the configuration: who waits, and retries. Connections are
/// counted by their server.
final class UpstreamUse: Sendable {
    /// Requests that wait for a place.
    let waiting = SharedCount()
    /// Requests under way, where `max_requests` bounds them.
    let requests = RequestPlaces()
    let retries = RetryBudget()
    /// Whose they are.
    let tenants = TenantParts()
}
