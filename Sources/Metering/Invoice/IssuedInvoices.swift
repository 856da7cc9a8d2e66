import Base
import Storage

/// Invoices that were issued, kept as they were: `invoices/TENANT/2026-11.json`, and what was corrected since in
/// `2026-11.1.json` and so on, each one checked line of JSON; beside the invoice what it looked like as text and table,
/// whose checksums it names, and how many corrections there are, in `2026-11.corrections`. Of a month with prices in several
/// currencies each has its own: `2026-11.EUR.json`.
///
/// What is not as it was issued, or not there any more, is an error wherever it is looked at: nothing else is shown for it.
public struct IssuedInvoices {
    /// A line of one, as far as corrections need it.
    struct Item: Hashable {
        var price: String
        var measure: String
        var per: UInt64
    }
    struct Document {
        var tenant = ""
        var month = ""
        var quantities: [Item: Int64] = [:]
        var amounts: [Item: ExactDecimal] = [:]
        var currency = ""
        var total = ExactDecimal.zero
        /// Of a correction.
        var number: UInt64 = 0
        /// By kind; none of an invoice from before there were any.
        var checksums: [String: UInt32] = [:]
    }
    public enum Fault: Error, Equatable {
        /// What was issued is in one currency, and prices are said to have been in another.
        case currencies(issued: String, now: String)
    }

    private let folder: String
    private let name: String
    private let files: any FileOperations
    /// The invoice, and its corrections.
    private var documents: [(bytes: [UInt8], content: Document)] = []
    private static let appearances = ["txt", "csv"]

    /// - Parameters:
    ///   - folder: of all invoices; made with the first.
    ///   - currency: of a month that has prices in several.
    public init(
        _ folder: String, tenant: String, month: String, currency: String? = nil, files: any FileOperations = DiskFiles()
    ) throws(StorageFault) {
        (self.folder, self.files) = (folder + "/" + Self.fileName(tenant), files)
        name = month + (currency.map { ".\($0)" } ?? "")
        // First what tells of others: they were there before it, whoever issues meanwhile.
        let others = try files.status(path: self.folder) == nil ? [] : try files.list(self.folder)
        let count = try correctionsKnown()
        while try files.status(path: path(documents.count)) != nil {
            let path = path(documents.count)
            var bytes: [UInt8]?
            try JournalReader(files).forward(path) { line in
                bytes = Array(line)
                return false
            }
            guard let bytes, let content = bytes.withUnsafeBytes({ Document($0) }), content.tenant == tenant,
                content.month == month, content.number == documents.count
            else { throw .damaged("is not as it was issued", path: path) }
            documents.append((bytes, content))
        }
        try expectNone(missing: others)
        if let count, documents.count <= count { throw .damaged("is gone, and was issued", path: path(documents.count)) }
    }

    /// What comes behind what is missing tells that it is.
    private func expectNone(missing others: [String]) throws(StorageFault) {
        for other in others where other.hasPrefix(name + ".") {
            let rest = other.dropFirst(name.utf8.count + 1)
            let isLater = rest.hasSuffix(".json") && UInt64(rest.dropLast(5)).map { $0 >= documents.count } ?? false
            if isLater || documents.isEmpty && Self.appearances.contains(String(rest)) {
                throw .damaged("is gone, and \(other) is there", path: path(documents.count))
            }
        }
    }

    public var isIssued: Bool { !documents.isEmpty }
    /// As JSON, with its checksum as the last member.
    public var invoice: [UInt8]? { documents.first?.bytes }
    public var corrections: [[UInt8]] { documents.dropFirst().map(\.bytes) }

    private func path(_ number: Int) -> String { folder + "/" + name + (number == 0 ? "" : ".\(number)") + ".json" }

    /// A folder's name for any id.
    private static func fileName(_ tenant: String) -> String {
        tenant.utf8.map { byte in
            ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == 0x2D || byte == 0x5F
                ? String(UnicodeScalar(byte)) : "%" + String(byte, radix: 16)
        }.joined()
    }

    /// What an invoice that was computed now differs by from what was issued; nil where it does not.
    public func correction(to invoice: Invoice) throws(Fault) -> InvoiceCorrection? {
        guard let issued = documents.first?.content else { return nil }
        guard issued.currency == invoice.currency || invoice.lines.isEmpty else {
            throw .currencies(issued: issued.currency, now: invoice.currency)
        }
        let now = invoice.json.withUnsafeBytes { Document($0) } ?? Document()
        var correction = InvoiceCorrection(currency: issued.currency)
        var items = Array(now.amounts.keys)
        for document in documents { items += document.content.amounts.keys.filter { !items.contains($0) } }
        for item in items {
            let before = documents.map(\.content)
            // Wide enough for any figures that a file may name.
            let issued = before.reduce(Int128(0)) { $0 + Int128($1.quantities[item] ?? 0) }
            let quantity = Int64(clamping: Int128(now.quantities[item] ?? 0) - issued)
            let amount = (now.amounts[item]?.units ?? 0) - before.reduce(0) { $0 + ($1.amounts[item]?.units ?? 0) }
            if quantity == 0, amount == 0 { continue }
            correction.lines.append(.init(item: item, quantity: quantity, amount: ExactDecimal(units: amount)))
            correction.total.units += amount
        }
        return correction.lines.isEmpty ? nil : correction
    }

    /// Keeps it. Returns when it is on the disk.
    public mutating func issue(_ invoice: Invoice, at now: UInt64) throws(StorageFault) {
        var checksums: [(kind: String, checksum: UInt32)] = []
        let contents = [("txt", Array(invoice.text.utf8)), ("csv", Array(invoice.csv.utf8))]
        for (kind, content) in contents {
            checksums.append((kind, content.withUnsafeBytes { CRC32.checksum($0) }))
            try writeDraft(content, appearancePath(kind))
        }
        // From here on it is issued: should this end now, its looks are found as drafts.
        try write(invoice.issued(at: now, looks: checksums))
        for (kind, _) in contents { try files.rename(appearancePath(kind) + Self.draft, to: appearancePath(kind)) }
        try files.syncFolder(folder)
    }

    private func appearancePath(_ kind: String) -> String { folder + "/" + name + "." + kind }
    private static let draft = ".draft"

    /// As it was when it was issued: `txt` or `csv`, without its last line end. nil where it was not.
    public func appearance(_ kind: String) throws(StorageFault) -> String? {
        guard let issued = documents.first?.content else { return nil }
        let path = appearancePath(kind)
        // Once more: it may get its name meanwhile.
        for place in [path, path + Self.draft, path] {
            guard let content = try read(place) else { continue }
            let checksum = content.withUnsafeBytes { CRC32.checksum($0) }
            if issued.checksums[kind] ?? checksum == checksum { return String(decoding: content.dropLast(), as: UTF8.self) }
        }
        throw .damaged("is not as it was issued, or gone; --format json shows what was", path: path)
    }

    /// What an end in the middle of an issue left behind: looks of what was issued get their names, other drafts go, and
    /// how many corrections there are is noted. For who has his turn.
    public func finish() throws(StorageFault) {
        guard try files.status(path: folder) != nil else { return }
        for draft in try files.list(folder) where draft.hasPrefix(name + ".") && draft.hasSuffix(Self.draft) {
            let ending = draft.dropFirst(name.utf8.count + 1).dropLast(Self.draft.utf8.count)
            // Not those of the same month in a currency.
            let isNumber = ending.hasSuffix(".json") && UInt64(ending.dropLast(5)) != nil
            guard isNumber || ["txt", "csv", "json", "corrections"].contains(ending) else { continue }
            let (from, place) = (folder + "/" + draft, folder + "/" + draft.dropLast(Self.draft.utf8.count))
            let kind = Self.appearances.first { appearancePath($0) == place }
            let issued = kind.flatMap { documents.first?.content.checksums[$0] }
            let content = try read(from) ?? []
            if let issued, issued == content.withUnsafeBytes({ CRC32.checksum($0) }) {
                try files.rename(from, to: place)
            } else {
                try files.remove(from)
            }
        }
        try files.syncFolder(folder)
        // It may have ended before it noted one, or be from before they were counted.
        if documents.count > 1, try correctionsKnown() ?? 0 < documents.count - 1 { try noteCorrections() }
    }

    /// nil of what is not there.
    private func read(_ path: String) throws(StorageFault) -> [UInt8]? {
        let descriptor: Int32
        do throws(StorageFault) { descriptor = try files.open(path, writing: false) } catch {
            if error.isGone { return nil }
            throw error
        }
        defer { files.close(descriptor) }
        var content = [UInt8](repeating: 0, count: try files.status(descriptor).size)
        let count = try files.read(descriptor, into: &content, 0..<content.count, at: 0)
        return Array(content.prefix(count))
    }

    public mutating func issue(_ correction: InvoiceCorrection, of invoice: Invoice, at now: UInt64)
        throws(StorageFault)
    {
        try write(correction.json(of: invoice, number: documents.count, issued: now))
        try noteCorrections()
    }

    // MARK: How many corrections

    /// Of the last one nothing comes behind it. Noted once it is there: there are never fewer.
    private func noteCorrections() throws(StorageFault) {
        var line: [UInt8] = []
        CheckedLine.append(to: &line, room: 64) { line in
            line.append("{\"corrections\":")
            line.append(decimal: documents.count - 1)
        }
        try writeDraft(line, countPath)
        try files.rename(countPath + Self.draft, to: countPath)
        try files.syncFolder(folder)
    }

    /// nil of an invoice that was never corrected, or not since they are counted.
    private func correctionsKnown() throws(StorageFault) -> Int? {
        guard let bytes = try read(countPath) else { return nil }
        let count = bytes.last == ASCII.lf ? bytes.dropLast().withUnsafeBytes(Self.corrections) : nil
        guard let count else { throw .damaged("is not as it was written", path: countPath) }
        return Int(clamping: count)
    }

    private static func corrections(_ line: UnsafeRawBufferPointer) -> UInt64? {
        guard CheckedLine.isValid(line) else { return nil }
        var count: UInt64?
        do throws(JSONReader.Fault) {
            try JSONReader.read(line) { json throws(JSONReader.Fault) in
                try json.object { name, json throws(JSONReader.Fault) in
                    switch name {
                    case "corrections": count = try json.unsigned()
                    default: try json.skip()
                    }
                }
            }
        } catch { return nil }
        return count
    }

    private var countPath: String { folder + "/" + name + ".corrections" }

    private mutating func write(_ json: [UInt8]) throws(StorageFault) {
        var line: [UInt8] = []
        let body = Array(json.dropLast())
        CheckedLine.append(to: &line, room: body.count) { $0.append(body) }
        let place = path(documents.count)
        try writeDraft(line, place)
        try files.rename(place + Self.draft, to: place)
        for folder in [folder, parent] { try files.syncFolder(folder) }
        let bytes = Array(line.dropLast())
        documents.append((bytes, bytes.withUnsafeBytes { Document($0) } ?? Document()))
    }

    private var parent: String { String(folder[..<(folder.lastIndex(of: "/") ?? folder.endIndex)]) }

    /// Whole and on the disk, beside its place.
    private func writeDraft(_ content: [UInt8], _ place: String) throws(StorageFault) {
        for folder in [parent, folder] { try files.makeFolder(folder) }
        let draft = place + Self.draft
        try files.remove(draft)
        let descriptor = try files.open(draft, writing: true)
        defer { files.close(descriptor) }
        do throws(StorageFault) {
            try files.write(descriptor, all: content, at: 0)
            try files.sync(descriptor)
        } catch {
            try? files.remove(draft)
            throw error
        }
    }
}

/// What an issued invoice is too little or too much, by what is known now.
public struct InvoiceCorrection {
    struct Line {
        var item: IssuedInvoices.Item
        var quantity: Int64
        var amount: ExactDecimal
    }
    var currency: String
    var lines: [Line] = []
    public var total = ExactDecimal.zero

    private var places: Int { Currency.places(currency) }

    /// The members of a correction, in an object.
    public func write(to json: inout JSONWriter) {
        json.member("lines") { json in
            json.array { json in
                for line in lines {
                    json.object { json in
                        json.member("price", line.item.price)
                        json.member("measure", line.item.measure)
                        json.member("quantity", Int(line.quantity))
                        json.member("per", line.item.per)
                        json.member("amount", line.amount.text(places: places))
                    }
                }
            }
        }
        json.member("total", total.text(places: places))
    }

    func json(of invoice: Invoice, number: Int, issued: UInt64) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("tenant", invoice.tenant)
            json.member("month", invoice.month)
            json.member("correction", number)
            json.member("issued", Timestamp.text(issued))
            json.member("currency", currency)
            write(to: &json)
        }
        return json.bytes
    }

    /// For a terminal.
    public var text: String {
        let rows = lines.map { line in
            [
                line.item.price, line.item.measure, String(line.quantity),
                line.amount.text(places: places) + " " + currency,
            ]
        }
        let total = ["correction", "", "", total.text(places: places) + " " + currency]
        return TextTable.text([["price", "measure", "quantity", "amount"]] + rows + [total], textColumns: 2)
    }
}

extension IssuedInvoices.Document {
    /// From an invoice or a correction as JSON.
    init?(_ json: UnsafeRawBufferPointer) {
        do throws(JSONReader.Fault) {
            self = try JSONReader.read(json) { json throws(JSONReader.Fault) in try Self(&json) }
        } catch {
            return nil
        }
    }

    private init(_ json: inout JSONReader) throws(JSONReader.Fault) {
        var document = Self()
        try json.object { name, json throws(JSONReader.Fault) in
            switch name {
            case "tenant": document.tenant = try json.string().text
            case "month": document.month = try json.string().text
            case "correction": document.number = try json.unsigned()
            case "looks":
                try json.object { kind, json throws(JSONReader.Fault) in
                    document.checksums[kind.text] = UInt32(try json.string().text, radix: 16)
                }
            case "currency": document.currency = try json.string().text
            case "total": document.total = try json.amount()
            case "lines": try json.array { json throws(JSONReader.Fault) in try document.addLine(&json) }
            default: try json.skip()
            }
        }
        self = document
    }

    private mutating func addLine(_ json: inout JSONReader) throws(JSONReader.Fault) {
        var item = IssuedInvoices.Item(price: "", measure: "", per: 1)
        var (quantity, amount): (Int64?, ExactDecimal?)
        try json.object { name, json throws(JSONReader.Fault) in
            switch name {
            case "price": item.price = try json.string().text
            case "measure": item.measure = try json.string().text
            case "per": item.per = try json.unsigned()
            case "quantity": quantity = try json.integer()
            case "amount": amount = try json.amount()
            default: try json.skip()
            }
        }
        guard let quantity, let amount else { throw .malformed }
        quantities[item, default: 0].addClamped(quantity)
        amounts[item, default: .zero].units += amount.units
    }
}

extension JSONReader {
    /// Money, as a string: sums may have more digits than a price.
    fileprivate mutating func amount() throws(Fault) -> ExactDecimal {
        var digits = try string().text[...]
        let isNegative = digits.hasPrefix("-")
        if isNegative { digits = digits.dropFirst() }
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts[0].utf8.allSatisfy(ASCII.isDigit), let whole = Int128(parts[0]),
            let rest = ExactDecimal("0" + (parts.count > 1 ? ".\(parts[1])" : ""))
        else { throw .malformed }
        let (units, overflow) = whole.multipliedReportingOverflow(by: ExactDecimal.one)
        guard !overflow, units <= .max - rest.units else { throw .malformed }
        return ExactDecimal(units: isNegative ? -(units + rest.units) : units + rest.units)
    }
}
