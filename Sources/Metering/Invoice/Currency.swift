/// How many decimals an amount of money has (ISO 4217).
enum Currency {
    private static let whole: Set<String> = [
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    ]
    private static let thousandths: Set<String> = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]

    static func places(_ code: String) -> Int { whole.contains(code) ? 0 : thousandths.contains(code) ? 3 : 2 }
}
