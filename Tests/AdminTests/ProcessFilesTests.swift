import Testing

@testable import Admin

@Suite("reading about this process")
struct ProcessFilesTests {
    @Test("the kernel's files are read whole")
    func files() throws {
        let stat = try #require(ProcessFiles.read("/proc/self/stat"))
        #expect(stat.last == 0x0A)
        #expect(ProcessFiles.read("/proc/self/limits")?.starts(with: "Limit".utf8) == true)
        #expect(ProcessFiles.read("/proc/stat")?.isEmpty == false)
        #expect(ProcessFiles.ticksPerSecond == 100)
        #expect(ProcessFiles.pageSize % 4096 == 0)
    }

    @Test("what cannot be read, or has no end, is nil")
    func unreadable() {
        #expect(ProcessFiles.read("/proc/self/nothing") == nil)
        #expect(ProcessFiles.read("/proc") == nil)
        #expect(ProcessFiles.read("/dev/zero") == nil)
    }

    @Test("standard input, output and error at least are open")
    func descriptors() throws {
        #expect(try #require(ProcessFiles.openDescriptors()) >= 3)
    }
}
