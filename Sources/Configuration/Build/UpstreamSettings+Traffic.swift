extension UpstreamSettings {
    /// What bounds the load of an upstream; false where `item` says something else.
    mutating func take(_ item: Checked) -> Bool {
        switch item.id {
        case .queue:
            var queue = QueueSettings()
            if case .number(let size)? = item.option("size") { queue.size = Int(size) }
            if case .number(let time)? = item.option("timeout") { queue.timeout = time }
            self.queue = queue
        case .maxRequests:
            if case .number(let count)? = item.values.first { maxRequests = Int(count) }
        case .serverIdle:
            if case .number(let time)? = item.values.first { idleTimeout = time }
        case .retry:
            retry = .written
            if case .number(let count)? = item.option("tries") { retry.tries = Int(count) }
            if case .text(let words)? = item.option("on") {
                retry.causes = RetrySettings.Causes(words.split(separator: ",").map { RetrySettings.Causes(String($0)) })
            }
            if case .number(let percent)? = item.option("budget") { retry.budget = Int(percent) }
            if case .number(let time)? = item.option("backoff") { retry.backoff = time }
        default: return false
        }
        return true
    }
}
