import Base

extension Builder {
    /// What a block says about prices. A line that is wrong is left out, and that it is has been said.
    func prices(of items: [Checked]) -> PriceSettings {
        var prices = PriceSettings()
        for item in items {
            switch (item.id, item.values.first) {
            case (.currency, .text(let code)): prices.currency = code
            case (.prorate, .text(let text)): prices.isProrated = text == "on"
            case (.price, _):
                guard var line = priceLine(item) else { continue }
                if case .text(let date)? = item.option("from") {
                    guard date.utf8.count == 10 else {
                        diagnostics.error(
                            at: item.words[0], "a price begins with a day",
                            suggestion: "write `from=\(date.prefix(10))`")
                        continue
                    }
                    line.from = UInt64(Dates.seconds(date))
                    line.text += " from=\(date)"
                }
                if prices.lines.contains(where: { $0.from == line.from && $0.kind.holdsWhere(line.kind) }) {
                    diagnostics.error(
                        at: item.words[0], "a second price for the same",
                        suggestion: "let it begin elsewhere with `over COUNT`, or later with `from=DATE`")
                    continue
                }
                prices.lines.append(line)
            default: break
            }
        }
        return prices
    }

    private func priceLine(_ item: Checked) -> PriceLine? {
        let words = item.words
        let (digits, period) = Prices.split(words[0].text)
        guard let amount = ExactDecimal(digits) else { return nil }
        let text = words.map(\.text).joined(separator: " ")
        func refuse(_ word: Word, _ message: String, _ suggestion: String?) -> PriceLine? {
            diagnostics.error(at: word, message, suggestion: suggestion)
            return nil
        }
        if period != nil {
            if words.count == 1 { return PriceLine(amount: amount, kind: .monthly, text: text) }
            return refuse(words[1], "a price a month has nothing behind it", "write `price \(words[0].text);`")
        }
        let form = "write `price \(digits) per 1000 requests;`"
        guard words.count > 1 else { return refuse(words[0], "what the price is for is missing", form) }
        guard words[1].text == "per" else { return refuse(words[1], "\(quoted(words[1].text)) is not `per`", form) }
        guard words.count > 3 else { return refuse(words[words.count - 1], "how much of what is missing", form) }
        guard let measure = PriceMeasure(rawValue: words[3].text) else {
            let known = PriceMeasure.allCases.map(\.rawValue)
            return refuse(
                words[3],
                "\(quoted(words[3].text)) has no price: there is \(known.map { "`\($0)`" }.joined(separator: ", "))",
                suggester.suggestion(for: words[3].text, among: known))
        }
        guard let per = quantity(words[2], of: measure, from: 1) else { return nil }
        var over: UInt64 = 0
        if words.count > 4 {
            guard words[4].text == "over" else {
                return refuse(words[4], "\(quoted(words[4].text)) is not `over`", form + " or with `over 1000000`")
            }
            guard words.count > 5 else { return refuse(words[4], "where it begins is missing", nil) }
            guard words.count == 6 else { return refuse(words[6], "too many values for `price`", form) }
            guard let start = quantity(words[5], of: measure, from: 0) else { return nil }
            over = start
        }
        return PriceLine(amount: amount, kind: .usage(measure, per: per, over: over), text: text)
    }

    private func quantity(_ word: Word, of measure: PriceMeasure, from least: UInt64) -> UInt64? {
        do throws(ValueFault) {
            let range = least...1_000_000_000_000_000
            let isBytes = measure == .requestBytes || measure == .responseBytes
            guard
                case .number(let value) = try isBytes
                    ? Quantities.size(word.text, in: range) : Quantities.count(word.text, in: range, or: nil)
            else { return nil }
            return value
        } catch {
            diagnostics.error(at: word, error.message, suggestion: error.suggestion)
            return nil
        }
    }

    /// Prices without a currency, wherever the nearest of both stand.
    mutating func checkCurrency(_ tenant: TenantSettings, at word: Word) {
        guard !tenant.prices.lines.isEmpty, tenant.prices.currency == nil else { return }
        // Once for each plan, not for each of its tenants.
        guard plansWithoutCurrency.insert(tenant.plan ?? "").inserted else { return }
        diagnostics.error(
            at: word, "tenant \(quoted(tenant.id)) has prices and no currency",
            suggestion: "add `currency EUR;` to its plan or to `defaults`")
    }
}

extension PriceSettings {
    /// This with a nearer one on top.
    func under(_ nearer: PriceSettings) -> PriceSettings {
        var merged = self
        if !nearer.lines.isEmpty { merged.lines = nearer.lines }
        if let currency = nearer.currency { merged.currency = currency }
        if let isProrated = nearer.isProrated { merged.isProrated = isProrated }
        return merged
    }
}
