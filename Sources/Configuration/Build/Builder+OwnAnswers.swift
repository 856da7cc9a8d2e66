import Base

/// What routes answer themselves, and what they do wrong on purpose.
extension Builder {
    func takeAnswer(_ item: Checked, _ route: inout RouteSettings) {
        let name = checker.tree.statements[item.statement].name
        if route.answer != nil {
            return diagnostics.error(at: name, "a route answers once: it has `respond` or `redirect` already")
        }
        if item.id == .redirect {
            guard case .text(let target) = item.values[0], let template = try? RequestTemplate(target) else { return }
            route.answer = .redirect(status: item.words.count > 1 ? UInt16(item.words[1].text) ?? 308 : 308, to: template)
            return
        }
        guard case .number(let number) = item.values[0] else { return }
        let status = UInt16(clamping: number)
        var (type, text) = (nil as String?, "")
        if item.values.count > 1, case .text(let said) = item.values[1] { type = said }
        if item.values.count > 2, case .text(let said) = item.values[2] { text = said }
        if item.words.count == 2 {
            return diagnostics.error(
                at: item.words[1], "a text has a type, and a type a text", suggestion: "write `respond \(status) text/plain \"TEXT\";`")
        }
        // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
        if [204, 205, 304].contains(status), item.words.count > 1 {
            return diagnostics.error(at: item.words[1], "an answer of \(status) has no text", suggestion: "write `respond \(status);`")
        }
        guard let template = try? RequestTemplate(text) else { return }
        route.answer = .respond(status: status, type: type, text: template)
    }

    func take(fault item: Checked, _ route: inout RouteSettings) {
        guard case .number(let number) = item.values[0] else { return }
        var share: UInt8 = 100
        if item.values.count > 1, case .number(let percent) = item.values[1] { share = UInt8(clamping: percent) }
        if item.id == .delay {
            route.faults.delay = FaultSettings.Delay(time: number, share: share)
        } else {
            route.faults.abort = FaultSettings.Abort(status: UInt16(clamping: number), share: share)
        }
    }
}
