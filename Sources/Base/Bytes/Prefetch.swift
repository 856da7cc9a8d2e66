import CLinux

/// Asks the processor for cache lines that will be wanted soon. Never a fault, whatever the address.
@inlinable @inline(__always)
public func prefetch(_ address: UnsafeRawPointer?, lines: Int) {
    let first = UInt(bitPattern: address)
    for line in 0..<UInt(truncatingIfNeeded: lines) { unsafe c_prefetch(UnsafeRawPointer(bitPattern: first &+ line &* 64)) }
}
