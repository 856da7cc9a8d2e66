import Configuration
import Crypto

extension Digest256 {
    public init(_ settings: DigestSettings) {
        self.init(words: (settings.words[0], settings.words[1], settings.words[2], settings.words[3]))
    }
}
