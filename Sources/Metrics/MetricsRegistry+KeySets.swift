extension MetricsRegistry {
    /// The state of the key sets that are fetched.
    func writeKeySets(_ sets: [String: KeySetState], _ text: inout TextWriter) {
        if sets.isEmpty { return }
        let sorted = sets.sorted { $0.key < $1.key }
        text.family("gateway_jwks_fetches", .counter, "Fetches of an issuer's key set, by result.")
        for (issuer, set) in sorted {
            for (result, count) in [("success" as StaticString, set.fetches), ("failure", set.failures)] {
                text.sample(Labels("issuer", issuer))
                text.label("result", result)
                text.value(count)
            }
        }
        text.family("gateway_jwks_keys", .gauge, "Keys of an issuer that tokens are verified with.")
        for (issuer, set) in sorted {
            text.sample(Labels("issuer", issuer))
            text.value(UInt64(set.keys))
        }
        text.family(
            "gateway_jwks_last_success_timestamp_seconds", .gauge, unit: "seconds",
            "When an issuer's key set was last fetched; 0: never.")
        for (issuer, set) in sorted {
            text.sample(Labels("issuer", issuer))
            text.value(nanoseconds: UInt128(set.lastSuccess))
        }
        text.family("gateway_jwks_stale", .gauge, "1: an issuer's keys are older than `keys_max_age`, and not believed.")
        for (issuer, set) in sorted {
            text.sample(Labels("issuer", issuer))
            text.value(set.isStale ? 1 : 0)
        }
    }
}
