extension FixedWidthInteger {
    /// The sum, or the nearest number that there is: what stands in a file may be as large as it likes.
    func addingClamped(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    mutating func addClamped(_ other: Self) { self = addingClamped(other) }
}
