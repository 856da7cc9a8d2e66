import Base
import Configuration

/// What is looked at before anybody says who he is. A handle to a record of its `Directory`.
public struct Door {
    struct Record {
        /// nil: every address may come.
        var addresses: UnsafePointer<AddressRules.Record>?
        /// nil: nothing is said to browsers.
        var cors: UnsafePointer<CORS.Record>?
    }

    let record: UnsafePointer<Record>

    public var addresses: AddressRules? { record.pointee.addresses.map(AddressRules.init) }
    public var cors: CORS? { record.pointee.cors.map(CORS.init) }

    /// nil where it is an open one.
    static func make(_ settings: DoorSettings, in memory: RecordMemory) -> UnsafePointer<Record>? {
        if settings.isOpen { return nil }
        let addresses = settings.addresses.flatMap { $0.isEmpty ? nil : AddressRules.make($0, in: memory) }
        let cors = settings.cors.flatMap { $0.origins.isEmpty ? nil : CORS.make($0, in: memory) }
        return UnsafePointer(memory.keep([Record(addresses: addresses, cors: cors)]))
    }
}
