// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built with these settings; `strict` is the only one that some modules have and others don't.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableExperimentalFeature("Lifetimes"),
    // No exception: what the compiler warns of is mended or said otherwise.
    .treatAllWarnings(as: .error),
    // `public` declarations are inlined and specialised across our own modules: measured at the cost of one module.
    // Exclusivity is checked in debug builds, in which the whole suite runs: the checks were 5 % of a request.
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// A module of the gateway and the modules it may import. An arrow that is not here is not allowed: TidyTests compares.
/// - Parameter strict: whatever the compiler can't prove to be memory-safe has the word `unsafe` in front of it, and a
///   reader sees what is left for him to prove. New modules have it; old ones get it.
func module(_ name: String, _ uses: [Target.Dependency] = [], strict: Bool = false) -> Target {
    .target(name: name, dependencies: uses, swiftSettings: settings + (strict ? [.strictMemorySafety()] : []))
}

func tests(_ name: String, _ uses: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.target(name: name)] + uses, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "gateway",
    products: [.executable(name: "gateway", targets: ["GatewayCommand"])],
    targets: [
        // C doors: headers only
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        // 1 foundation, no I/O
        module("Base", ["CLinux"], strict: true),
        // 2 doors to the outside
        module("Net", ["Base", "CLinux"], strict: true),
        module("Crypto", ["Base", "COpenSSL"], strict: true),
        module("Storage", ["Base", "CLinux"], strict: true),
        // 3 pure: bytes and values in, values out
        module("HTTP", ["Base"], strict: true),
        module("Configuration", ["Base"]),
        module("Metrics", ["Base"]),
        // what the gateway asks of others
        module("Client", ["Base", "Net", "Crypto", "HTTP"], strict: true),
        // 4 the product's own words
        module("Tenancy", ["Base", "Crypto", "HTTP", "Configuration"]),
        module("Quotas", ["Base", "Configuration", "Storage"]),
        module("Metering", ["Base", "Configuration", "Storage"]),
        // 5 the two servers
        module("Proxy", ["Base", "CLinux", "Net", "Crypto", "HTTP", "Client", "Configuration", "Metrics", "Tenancy", "Storage", "Quotas"], strict: true),
        module("Admin", ["Base", "CLinux", "Net", "HTTP", "Metering"]),
        // 6 wiring
        module("Gateway", ["Base", "CLinux", "Net", "Crypto", "HTTP", "Client", "Configuration", "Metrics", "Tenancy", "Proxy", "Admin", "Storage", "Quotas", "Metering"]),
        .executableTarget(name: "GatewayCommand", dependencies: ["Gateway", "Configuration", "Base"], swiftSettings: settings),
        // tests
        tests("Base", ["TestSupport"]), tests("Net", ["Base"]), tests("HTTP", ["Base", "TestSupport"], exclude: ["Corpus"]), tests("Configuration", ["Base", "TestSupport"], exclude: ["Cases"]),
        tests("Crypto"), tests("Tenancy", ["Base", "Net", "Crypto", "HTTP", "Configuration"]), tests("Metrics", ["Base"]),
        tests("Client", ["Base", "Net", "Crypto", "TestSupport"]),
        tests("Storage", ["Base", "TestSupport"]), tests("Proxy", ["Base", "Configuration", "Net", "TestSupport"]),
        tests("Quotas", ["Base", "Storage", "Configuration", "TestSupport"]),
        tests("Metering", ["Base", "Configuration", "Storage", "TestSupport"]), tests("Admin", ["Base", "Metering", "Net", "TestSupport"]),
        tests("Gateway", ["Base", "Crypto", "Configuration", "Tenancy", "Quotas", "Metering", "Storage", "TestSupport"]),
        .testTarget(name: "TidyTests", swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
    ]
)
