/// From a path to settings.
public enum ConfigurationLoader {
    /// Reads a file and all that it includes, and says everything that is wrong with it in one run. `allowUnsupported`
    /// lets directives stand that are validated but not acted on yet.
    public static func load(
        _ path: String, from source: ConfigurationSource, allowUnsupported: Bool = false
    ) -> LoadedConfiguration {
        let diagnostics = DiagnosticCollector()
        let suggester = Suggester()
        var parser = Parser(source: source, diagnostics: diagnostics, suggester: suggester)
        parser.read(path)
        let checker = Checker(
            parser.tree, source: source, diagnostics: diagnostics, suggester: suggester,
            allowUnsupported: allowUnsupported)
        var builder = Builder(checker, diagnostics: diagnostics, suggester: suggester)
        let settings = builder.build()
        return LoadedConfiguration(
            settings: diagnostics.errorCount == 0 ? settings : nil, partial: settings, diagnostics: diagnostics.inFileOrder,
            omitted: diagnostics.omitted, files: parser.tree.files, hostOwners: builder.hostOwners)
    }
}
