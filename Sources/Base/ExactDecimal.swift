/// A decimal number of up to twelve places, as a whole number of 10^-12: money, which binary fractions can't hold.
public struct ExactDecimal: Sendable, Hashable, Comparable {
    public static let places = 12
    /// How many units make one.
    public static let one: Int128 = 1_000_000_000_000

    /// In units of 10^-12.
    public var units: Int128

    public init(units: Int128) { self.units = units }

    public static let zero = ExactDecimal(units: 0)
    /// Digits in front of the point, so that sums and products of many can't overflow.
    private static let wholeDigitsMax = 15

    /// `49`, `49.00`, `0.000000000001`: digits, perhaps a point and digits behind it; nothing else.
    public init?(_ text: some StringProtocol) {
        var units: Int128 = 0
        var (whole, fraction) = (0, -1)
        for byte in text.utf8 {
            if byte == 0x2E, fraction < 0 {
                fraction = 0
                continue
            }
            guard ASCII.isDigit(byte) else { return nil }
            if fraction < 0 { whole += 1 } else { fraction += 1 }
            guard whole <= Self.wholeDigitsMax, fraction <= Self.places else { return nil }
            units = units * 10 + Int128(byte - 0x30)
        }
        guard whole > 0, fraction != 0 else { return nil }
        for _ in 0..<(Self.places - max(fraction, 0)) { units *= 10 }
        self.units = units
    }

    /// With at least `places` digits behind the point, more where they are not zero.
    public func text(places: Int) -> String {
        let (whole, rest) = units.magnitude.quotientAndRemainder(dividingBy: UInt128(Self.one))
        var digits = Array(String(rest).utf8)
        digits = [UInt8](repeating: 0x30, count: Self.places - digits.count) + digits
        while digits.count > places, digits.last == 0x30 { digits.removeLast() }
        let sign = units < 0 ? "-" : ""
        return sign + String(whole) + (digits.isEmpty ? "" : "." + String(decoding: digits, as: UTF8.self))
    }

    /// This amount times `count`, divided by `per` and rounded to `places` digits, halves away from zero. Exact until
    /// it is rounded. nil where the result is past 10^25.
    public func times(_ count: UInt64, per: UInt64, places: Int) -> ExactDecimal? {
        var step: UInt128 = 1
        for _ in 0..<(Self.places - min(places, Self.places)) { step *= 10 }
        let divisor = UInt128(per) * step
        guard divisor > 0 else { return nil }
        let (high, low) = units.magnitude.multipliedFullWidth(by: UInt128(count))
        // The quotient must fit, and its product with the step too.
        guard high < divisor else { return nil }
        var (quotient, rest) = divisor.dividingFullWidth((high, low))
        if rest >= divisor - rest { quotient += 1 }
        guard let scaled = Int128(exactly: quotient), scaled <= Int128(1) << 100 else { return nil }
        let (result, overflow) = scaled.multipliedReportingOverflow(by: Int128(step))
        return overflow ? nil : ExactDecimal(units: units < 0 ? -result : result)
    }

    public static func < (left: ExactDecimal, right: ExactDecimal) -> Bool { left.units < right.units }

    /// nil past 128 bits.
    public func adding(_ other: ExactDecimal) -> ExactDecimal? {
        let (sum, overflow) = units.addingReportingOverflow(other.units)
        return overflow ? nil : ExactDecimal(units: sum)
    }
}
