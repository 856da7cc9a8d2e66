import Base

/// The labels of a sample as they stand between the braces, escaped once and used often.
struct Labels {
    private(set) var bytes: [UInt8] = []

    init() {}

    init(_ name: StaticString, _ value: String) { add(name, value) }

    mutating func add(_ name: StaticString, _ value: String) {
        if !bytes.isEmpty { bytes.append(0x2C) }
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(contentsOf: [0x3D, 0x22])
        for byte in value.utf8 {
            switch byte {
            case 0x22, 0x5C: bytes.append(contentsOf: [0x5C, byte])
            case 0x0A: bytes.append(contentsOf: [0x5C, 0x6E])
            default: bytes.append(byte)
            }
        }
        bytes.append(0x22)
    }
}

/// Writes metric families in one of the two text forms. The differences between them are all in this file: OpenMetrics
/// leaves `_total` and `_info` out of a family's name, has a line for the unit, writes bounds as `1.0`, and ends in `#
/// EOF`.
struct TextWriter {
    enum Kind { case counter, gauge, histogram, info }

    let format: TextFormat
    private(set) var bytes: [UInt8] = []
    private var name: StaticString = ""
    private var suffix: StaticString = ""
    private var labelled = false

    init(_ format: TextFormat, reserving room: Int = 64 << 10) {
        self.format = format
        bytes.reserveCapacity(room)
    }

    /// Starts a family. `name` is without `_total` and `_info`; `unit` is the name's last word where it has one.
    mutating func family(_ name: StaticString, _ kind: Kind, unit: StaticString? = nil, _ help: StaticString) {
        self.name = name
        let type: StaticString
        switch kind {
        case .counter: (suffix, type) = ("_total", "counter")
        case .gauge: (suffix, type) = ("", "gauge")
        case .histogram: (suffix, type) = ("", "histogram")
        case .info: (suffix, type) = ("_info", format == .openMetrics ? "info" : "gauge")
        }
        metadata("# HELP ", help)
        metadata("# TYPE ", type)
        if format == .openMetrics, let unit { metadata("# UNIT ", unit) }
    }

    /// Starts a sample of the family. `label` may add to its labels before `value` ends it.
    mutating func sample(_ labels: Labels = Labels()) { begin(suffix, labels) }

    mutating func label(_ name: StaticString, _ value: StaticString) {
        startLabel(name)
        append(value)
        append("\"")
    }

    mutating func label(_ name: StaticString, _ value: UInt16) {
        startLabel(name)
        append(decimal: UInt64(value))
        append("\"")
    }

    mutating func value(_ value: UInt64) {
        startValue()
        append(decimal: value)
        append("\n")
    }

    mutating func value(_ value: Int) {
        startValue()
        if value < 0 { append("-") }
        append(decimal: UInt64(value.magnitude))
        append("\n")
    }

    /// Seconds, exactly: whole, a point, and as many of nine digits as are needed.
    mutating func value(nanoseconds: UInt128) {
        startValue()
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        if let whole = UInt64(exactly: whole) {
            append(decimal: whole)
        } else {
            bytes.append(contentsOf: whole.description.utf8)
        }
        if rest > 0 {
            append(".")
            var divisor: UInt64 = 100_000_000
            var rest = UInt64(rest)
            while rest > 0 {
                bytes.append(0x30 + UInt8(truncatingIfNeeded: rest / divisor))
                rest %= divisor
                divisor /= 10
            }
        }
        append("\n")
    }

    /// All samples of one histogram: cumulative buckets, sum in seconds, count.
    mutating func histogram<Scale: HistogramScale>(_ labels: Labels, _ totals: HistogramTotals, _: Scale.Type) {
        var cumulated: UInt64 = 0
        for (bucket, bound) in zip(totals.buckets, Scale.labels) {
            cumulated &+= bucket
            begin("_bucket", labels)
            startLabel("le")
            append(bound)
            if format == .openMetrics, Self.isWhole(bound) { append(".0") }
            append("\"")
            value(cumulated)
        }
        cumulated &+= totals.buckets[14]
        begin("_bucket", labels)
        label("le", "+Inf")
        value(cumulated)
        begin("_sum", labels)
        value(nanoseconds: totals.sum)
        begin("_count", labels)
        value(cumulated)
    }

    /// The whole text.
    mutating func finish() -> [UInt8] {
        if format == .openMetrics { append("# EOF\n") }
        return bytes
    }

    private static func isWhole(_ bound: StaticString) -> Bool {
        UnsafeBufferPointer(start: bound.utf8Start, count: bound.utf8CodeUnitCount).allSatisfy(ASCII.isDigit)
    }

    private mutating func metadata(_ keyword: StaticString, _ text: StaticString) {
        append(keyword)
        append(name)
        if format == .prometheus { append(suffix) }
        append(" ")
        append(text)
        append("\n")
    }

    private mutating func begin(_ suffix: StaticString, _ labels: Labels) {
        append(name)
        append(suffix)
        labelled = !labels.bytes.isEmpty
        if labelled {
            append("{")
            bytes.append(contentsOf: labels.bytes)
        }
    }

    private mutating func startLabel(_ name: StaticString) {
        append(labelled ? "," : "{")
        labelled = true
        append(name)
        append("=\"")
    }

    private mutating func startValue() { append(labelled ? "} " : " ") }

    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(decimal value: UInt64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { room in
            var writer = ByteWriter(room)
            writer.append(decimal: value)
            bytes.append(contentsOf: writer.written)
        }
    }
}
