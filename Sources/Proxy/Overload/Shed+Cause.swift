import Metrics

extension Shed {
    init(_ cause: OverloadCause) {
        self =
            switch cause {
            case .memory: .memory
            case .descriptors: .descriptors
            case .lag: .lag
            }
    }
}
