/// Streams that were reset here a short while ago: what the peer had sent before it knew is no fault (RFC 9113 section 5.1).
/// As many as there may be at a time, for all of them may be reset at once; takes memory as it grows, and none before the first.
struct RecentStreams {
    private var streams: [UInt32] = []
    /// The oldest one, once there are as many as there may be.
    private var oldest = 0
    private let most: Int
    /// There were more than that.
    private(set) var hasForgotten = false

    init(most: Int) { self.most = min(max(most, 64), 1024) }

    mutating func add(_ stream: UInt32) {
        if streams.count < most { return streams.append(stream) }
        hasForgotten = true
        streams[oldest] = stream
        oldest = (oldest + 1) % most
    }

    func contains(_ stream: UInt32) -> Bool { streams.contains(stream) }
}
