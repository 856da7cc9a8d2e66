import CLinux

/// Asks the processor for cache lines that will be wanted soon. Never a fault, whatever the address.
@inline(__always)
public func prefetch(_ address: UnsafeRawPointer?, lines: Int) {
    for line in 0..<lines { c_prefetch(UnsafeRawPointer(bitPattern: UInt(bitPattern: address) &+ UInt(line * 64))) }
}
