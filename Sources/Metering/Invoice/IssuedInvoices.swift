import Base
import Storage

/// Invoices that were issued, kept as they were: `invoices/TENANT/2026-11.json`, and what was corrected since in
/// `2026-11.1.json` and so on, each one checked line of JSON; beside the invoice what it looked like as text and table.
public struct IssuedInvoices {
    /// A line of one, as far as corrections need it.
    struct Item: Hashable {
        var price: String
        var measure: String
        var per: UInt64
    }
    struct Document {
        var quantities: [Item: Int64] = [:]
        var amounts: [Item: ExactDecimal] = [:]
        var currency = ""
        var total = ExactDecimal.zero
    }

    private let folder: String
    private let name: String
    private let files: any FileOperations
    /// The invoice, and its corrections.
    private var documents: [(bytes: [UInt8], content: Document)] = []

    /// - Parameter folder: of all invoices; made with the first.
    public init(
        _ folder: String, tenant: String, month: String, files: any FileOperations = DiskFiles()
    ) throws(StorageFault) {
        (self.folder, name, self.files) = (folder + "/" + Self.fileName(tenant), month, files)
        while true {
            let path = path(documents.count)
            guard try files.status(path: path) != nil else { return }
            var bytes: [UInt8]?
            try JournalReader(files).forward(path) { line in
                bytes = Array(line)
                return false
            }
            guard let bytes, let content = bytes.withUnsafeBytes({ Document($0) }) else {
                throw .damaged("is not as it was issued", path: path)
            }
            documents.append((bytes, content))
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
    public func correction(to invoice: Invoice) -> InvoiceCorrection? {
        guard isIssued else { return nil }
        let now = invoice.json.withUnsafeBytes { Document($0) } ?? Document()
        var correction = InvoiceCorrection(currency: invoice.currency)
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
        for (kind, content) in [("txt", invoice.text), ("csv", invoice.csv)] {
            try put(Array(content.utf8), folder + "/" + name + "." + kind)
        }
        try write(invoice.issued(at: now))
    }

    /// As it was when it was issued: `txt` or `csv`. nil where it is gone.
    public func appearance(_ kind: String) -> String? {
        var lines: [String] = []
        let path = folder + "/" + name + "." + kind
        guard (try? files.status(path: path)) != nil else { return nil }
        do throws(StorageFault) {
            try JournalReader(files).lines(path) { line, _ in
                lines.append(String(decoding: line, as: UTF8.self))
                return true
            }
        } catch { return nil }
        return lines.joined(separator: "\n")
    }

    public mutating func issue(_ correction: InvoiceCorrection, of invoice: Invoice, at now: UInt64)
        throws(StorageFault)
    {
        try write(correction.json(of: invoice, number: documents.count, issued: now))
    }

    private mutating func write(_ json: [UInt8]) throws(StorageFault) {
        var line: [UInt8] = []
        let body = Array(json.dropLast())
        CheckedLine.append(to: &line, room: body.count) { $0.append(body) }
        try put(line, path(documents.count))
        let bytes = Array(line.dropLast())
        documents.append((bytes, bytes.withUnsafeBytes { Document($0) } ?? Document()))
    }

    /// There whole or not at all, and on the disk.
    private func put(_ content: [UInt8], _ place: String) throws(StorageFault) {
        let parent = String(folder[..<(folder.lastIndex(of: "/") ?? folder.endIndex)])
        for folder in [parent, folder] { try files.makeFolder(folder) }
        let draft = place + ".draft"
        try files.remove(draft)
        let descriptor = try files.open(draft, writing: true)
        defer { files.close(descriptor) }
        do throws(StorageFault) {
            try files.write(descriptor, all: content, at: 0)
            try files.sync(descriptor)
            try files.rename(draft, to: place)
        } catch {
            try? files.remove(draft)
            throw error
        }
        for folder in [folder, parent] { try files.syncFolder(folder) }
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
    /// Money, as a string.
    fileprivate mutating func amount() throws(Fault) -> ExactDecimal {
        let text = try string().text
        let isNegative = text.hasPrefix("-")
        guard let amount = ExactDecimal(isNegative ? String(text.dropFirst()) : text) else { throw .malformed }
        return isNegative ? ExactDecimal(units: -amount.units) : amount
    }
}
