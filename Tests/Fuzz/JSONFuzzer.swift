import Base

/// All bytes are one JSON text.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: data, count: size))
    let skipped = isSkipped(bytes)
    do throws(JSONReader.Fault) {
        let value = try JSONValue(json: bytes)
        require(skipped, "what can be read can't be passed over")
        check(value, bytes)
    } catch {
        // These two only whoever keeps the values finds.
        require(!skipped || error == .duplicateName || error == .tooLarge, "passed over is what can't be read")
    }
    return 0
}

/// Whether the reader passes over it as a whole, in a region in which a read past the end is seen.
private func isSkipped(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { bytes in
        isolated(bytes) { region in
            do throws(JSONReader.Fault) {
                try JSONReader.read(UnsafeRawBufferPointer(region)) { json throws(JSONReader.Fault) in try json.skip() }
                return true
            } catch {
                return false
            }
        }
    }
}

private func check(_ value: JSONValue, _ bytes: [UInt8]) {
    require(String(validating: bytes, as: UTF8.self) != nil, "bytes that are not UTF-8 were accepted")
    var text: [UInt8] = []
    write(value, to: &text)
    require((try? JSONValue(json: text)) == value, "written and read again it is another value")
    for cut in 0..<min(bytes.count, 64) where value.object != nil || value.array != nil {
        let part = Array(bytes[..<(bytes.count - 1 - cut)])
        if let shorter = try? JSONValue(json: part) {
            require(shorter == value, "a part is another value")
        }
    }
}

private func write(_ value: JSONValue, to text: inout [UInt8]) {
    switch value {
    case .null: text += Array("null".utf8)
    case .bool(let flag): text += Array("\(flag)".utf8)
    case .integer(let number): text += Array("\(number)".utf8)
    case .number(let number): text += Array("\(number)".utf8)
    case .string(let string): write(string, to: &text)
    case .array(let values):
        text.append(0x5B)
        for (i, value) in values.enumerated() {
            if i > 0 { text.append(0x2C) }
            write(value, to: &text)
        }
        text.append(0x5D)
    case .object(let object):
        text.append(0x7B)
        for (i, member) in object.members.enumerated() {
            if i > 0 { text.append(0x2C) }
            write(member.name, to: &text)
            text.append(0x3A)
            write(member.value, to: &text)
        }
        text.append(0x7D)
    }
}

private func write(_ string: [UInt8], to text: inout [UInt8]) {
    let digits = Array("0123456789abcdef".utf8)
    text.append(0x22)
    for byte in string {
        if byte < 0x20 || byte == 0x22 || byte == 0x5C {
            text += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        } else {
            text.append(byte)
        }
    }
    text.append(0x22)
}
