/// What a command has to say, held until its turn at the ledger is over: a terminal that is stopped, or a pipe that nobody
/// reads, would keep everybody else waiting.
final class HeldOutput {
    private var texts: [(isError: Bool, text: String)] = []

    func out(_ text: String) { texts.append((false, text)) }
    func error(_ text: String) { texts.append((true, text)) }

    /// What was held is said no more.
    func forget() { texts = [] }

    /// Waits for whoever reads it.
    func write() {
        for (isError, text) in texts { isError ? Console.error(text) : Console.out(text) }
        texts = []
    }
}
