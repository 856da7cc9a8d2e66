import Glibc

/// Who has a lock (`flock`) of a file, as the kernel says: nothing needs to be written, nor is ever out of date.
public enum LockHolder {
    private static let list = "/proc/locks"

    /// The process that has it; nil where nobody has, or it can't be seen from here: in a container, or on a file system whose
    /// files have other devices for the kernel than for us. For messages only.
    public static func process(of path: String) -> Int32? {
        guard let file = try? DiskFiles().status(path: path) else { return nil }
        let device = file.device
        let (major, minor) = (device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000, device & 0xFF | device >> 12 & 0xFFFF_FF00)
        let place = "\(hex(major)):\(hex(minor)):\(file.inode)"
        for line in lines() {
            // 5: FLOCK  ADVISORY  WRITE 6810 fe:00:16500054 0 EOF; with an arrow behind the number for one that waits.
            let words = line.split(separator: " ")
            if words.count > 5, words[1] == "FLOCK", words[5] == place, let process = Int32(words[4]), process > 0 { return process }
        }
        return nil
    }

    private static func hex(_ number: UInt64) -> String { (number < 16 ? "0" : "") + String(number, radix: 16) }

    private static func lines() -> [Substring] {
        let files = DiskFiles()
        guard let descriptor = try? files.open(list, writing: false) else { return [] }
        defer { files.close(descriptor) }
        var text: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 16 << 10)
        while let count = try? files.read(descriptor, into: &room, 0..<room.count, at: text.count), count > 0 {
            text += room[..<count]
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
    }
}
