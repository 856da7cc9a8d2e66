import Net

/// A function for later.
final class Deadline: Source {
    private let action: () -> Void

    init(loop: EventLoop, action: @escaping () -> Void) {
        self.action = action
        super.init(loop: loop, fd: -1, flow: loop.commonFlow)
    }

    override func expired() { action() }
}
